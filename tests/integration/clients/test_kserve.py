"""KServe's own client, in an environment of its own because of what it depends on."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncore.types import Array
from tests.integration.clients.conftest import Served

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get("KSERVE_PYTHON", ROOT / ".venv-kserve" / "bin" / "python"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON.exists(), reason=f"KServe's client is not installed in {PYTHON} (KSERVE_PYTHON)"
    ),
]


@pytest.fixture(scope="module")
def answers(served: Served, levels: Array) -> dict[str, Any]:
    images = (levels.reshape(len(levels), -1) / np.float32(255)).tolist()
    result = subprocess.run(
        [PYTHON, Path(__file__).with_name("kserve_client.py"), served.url, served.name],
        input=json.dumps(images),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    answers: dict[str, Any] = json.loads(result.stdout)
    return answers


def test_version_1(answers: dict[str, Any], served: Served, levels: Array) -> None:
    answer = answers["v1"]
    assert (answer["live"], answer["ready"]) == (True, True)
    np.testing.assert_allclose(answer["predictions"], served.expected(levels), atol=1e-6, rtol=0)


def test_version_2(answers: dict[str, Any], served: Served, levels: Array) -> None:
    answer = answers["v2"]
    assert [answer[key] for key in ("live", "server_ready", "ready")] == [True] * 3
    assert answer["unknown_ready"] is False
    expected = served.expected(levels)
    for tensors in ("json", "binary"):
        assert answer[tensors]["id"] == "a request"
        outputs = answer[tensors]["outputs"]
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-6, rtol=0)
        assert outputs["label"] == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_errors(answers: dict[str, Any], version: str) -> None:
    errors = answers[version]["errors"]
    assert "'404 " in errors["model"]
    assert "no-such-model" in errors["model"]
    assert "'400 " in errors["images"]
    assert errors["images"].startswith("expected ")
