"""KServe's own client, in an environment of its own because of what it depends on."""

import json
import os
import subprocess
from pathlib import Path

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


def test_the_client_understands_every_answer(served: Served, levels: Array) -> None:
    images = (levels.reshape(len(levels), -1) / np.float32(255)).tolist()
    result = subprocess.run(
        [PYTHON, Path(__file__).with_name("kserve_client.py"), served.url, served.name],
        input=json.dumps(images),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    for answer in json.loads(result.stdout).values():
        assert answer["live"]
        assert answer["ready"]
        assert "'404 " in answer["unknown model"]
        assert "'400 " in answer["short images"]
        for probabilities in answer["answers"]:
            np.testing.assert_allclose(probabilities, served.expected(levels), atol=1e-6, rtol=0)
