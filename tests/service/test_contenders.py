from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.contenders import EMPTY, OURS, contenders, installed
from benchmarks.serving.protocols import PREDICT
from benchmarks.serving.server import Server


@pytest.mark.parametrize("name", [OURS, EMPTY])
def test_what_comes_with_the_project_can_be_measured(name: str, tmp_path: Path) -> None:
    contender = contenders(tmp_path)[name]
    if not installed(contender):
        pytest.skip(f"no environment {contender.environment} here")
    with Server(contender.command, tmp_path / "log", contender.variables) as server:
        server.wait_for(contender.path, PREDICT.write(np.zeros((1, 784), np.uint8)))
