"""KServe's own client. What it needs is large, so it lives in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncore.types import Array
from tests.service.clients.conftest import Served
from tests.service.server import ROOT

PYTHON = Path(os.environ.get("KSERVE_PYTHON", ROOT / ".venv-kserve" / "bin" / "python"))
SECONDS = 60

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason=f"KServe's client is not there, at {PYTHON} (KSERVE_PYTHON)"
)


@pytest.fixture(scope="module")
def answers(served: Served, levels: Array) -> dict[str, Any]:
    images = (levels.reshape(len(levels), -1) / np.float32(255)).tolist()
    result = subprocess.run(
        [PYTHON, Path(__file__).with_name("kserve_client.py"), served.url, served.name],
        input=json.dumps(images),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr
    answers: dict[str, Any] = json.loads(result.stdout)
    return answers


def test_version_1(answers: dict[str, Any], served: Served, levels: Array) -> None:
    answer = answers["v1"]
    assert answer["live"] is True
    assert answer["ready"] is True
    np.testing.assert_allclose(answer["predictions"], served.expected(levels), atol=1e-6, rtol=0)


def test_version_1_errors(answers: dict[str, Any]) -> None:
    errors = answers["v1"]["errors"]
    assert errors["ready"].startswith("expected a model that is there")
    assert errors["model"].startswith("expected a model that is there")
    assert "'404 " in errors["model"]
    assert errors["images"].startswith("expected instances to be an array of images")
    assert "'400 " in errors["images"]


@pytest.mark.parametrize("tensors", ["json", "binary"])
def test_version_2(answers: dict[str, Any], served: Served, levels: Array, tensors: str) -> None:
    answer = answers["v2"][tensors]
    assert answer["id"] == "a request"
    assert answer["model"] == served.name
    expected = served.expected(levels)
    np.testing.assert_allclose(answer["outputs"]["probabilities"], expected, atol=1e-6, rtol=0)
    assert answer["outputs"]["label"] == expected.argmax(axis=1).tolist()


def test_version_2_health(answers: dict[str, Any]) -> None:
    answer = answers["v2"]
    assert answer["live"] is True
    assert answer["server_ready"] is True
    assert answer["ready"] is True
    assert answer["unknown_ready"] is False


def test_version_2_errors(answers: dict[str, Any]) -> None:
    errors = answers["v2"]["errors"]
    assert errors["model"].startswith("expected a model that is there")
    assert "'404 " in errors["model"]
    assert errors["images"].startswith("expected ")
    assert "'400 " in errors["images"]
