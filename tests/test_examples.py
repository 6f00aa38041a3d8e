"""The examples run; the linear regression reproduces the figures of the notebook."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples import linear_regression
from tests.support.data import idx_bytes
from tests.support.server import ROOT, running
from trainer.synthetic import generate_digits


def run(example: str, *arguments: object, **variables: str) -> list[str]:
    """Run an example and return the lines that it prints."""
    command = [sys.executable, "-m", f"examples.{example}", *map(str, arguments)]
    env = {**os.environ, **variables}
    return subprocess.check_output(command, cwd=ROOT, env=env, text=True, timeout=60).splitlines()


@pytest.mark.usefixtures("seed_numpy")
def test_linear_regression_reproduces_the_figures_of_the_notebook() -> None:
    first, *_, last = linear_regression.train()
    expected = [2.51916934, 3.34408372, 1.73531408]
    np.testing.assert_allclose(first.weights, expected, rtol=0, atol=1e-8)
    assert first.intercept == pytest.approx(4.42896598, abs=1e-8)
    assert first.losses[-1] == pytest.approx(8.759483008415106, abs=1e-8)
    expected = [2.98202304, 3.99832889, 1.99933981]
    np.testing.assert_allclose(last.weights, expected, rtol=0, atol=1e-8)
    assert last.intercept == pytest.approx(4.99501809, abs=1e-8)
    assert last.losses[-1] == pytest.approx(2.486623610024849, abs=1e-8)


def test_linear_regression_prints_its_epochs_and_draws_its_loss_curve(tmp_path: Path) -> None:
    lines = run("linear_regression", tmp_path / "loss.png")
    assert lines[1].startswith("epoch 1: W=[2.51916934 3.34408372 1.73531408], b=4.42896598")
    assert lines[10].endswith("loss=2.486623610024849")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_mnist_from_nncore_learns(tmp_path: Path) -> None:
    for split, count in (("train", 1000), ("t10k", 200)):
        images, labels = generate_digits(count, seed=count)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = gzip.compress(idx_bytes(array))
            (tmp_path / f"{split}-{name}-ubyte.gz").write_bytes(content)
    lines = run("mnist_from_nncore", DATA_DIR=str(tmp_path))
    assert lines[-2] == "[Epoch 10]Evaluating"
    accuracy = float(lines[-1].rpartition("valid acc ")[2].rstrip("%"))
    assert accuracy > 60


def test_the_client_prints_the_prediction(tmp_path: Path) -> None:
    with running(ROOT / "models", tmp_path / "log", {"WEB_CONCURRENCY": "1"}) as service:
        (line,) = run("client", ROOT / "examples" / "digit.png", f"127.0.0.1:{service.port}")
    assert line.startswith("5 (")
