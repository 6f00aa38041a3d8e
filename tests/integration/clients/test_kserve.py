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
PYTHON = Path(os.environ.get("KSERVE_PYTHON", ROOT / ".venv-tools" / "bin" / "python"))

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


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_the_client_understands_every_answer(
    answers: dict[str, Any], served: Served, levels: Array, protocol: str
) -> None:
    answer, expected = answers[protocol], served.expected(levels)
    assert answer["live"]
    assert answer["ready"]
    assert "'404 " in answer["errors"]["model"]
    assert "no-such-model" in answer["errors"]["model"]
    assert "'400 " in answer["errors"]["images"]
    if protocol == "v1":
        np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6, rtol=0)
        return
    assert answer["server_ready"]
    assert not answer["unknown_ready"]
    for tensors in ("json", "binary"):
        assert answer[tensors]["id"] == "a request"
        outputs = answer[tensors]["outputs"]
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-6, rtol=0)
        assert outputs["label"] == expected.argmax(axis=1).tolist()
