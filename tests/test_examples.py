"""The examples run as they are, and give the notebook's own figures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples import linear_regression


@pytest.mark.usefixtures("seed_numpy")
def test_linear_regression_gives_the_notebook_s_figures() -> None:
    first, *_, last = linear_regression.train()
    np.testing.assert_allclose(
        first.weights, [2.51916934, 3.34408372, 1.73531408], rtol=0, atol=1e-8
    )
    assert first.intercept == pytest.approx(4.42896598, abs=1e-8)
    assert first.losses[-1] == pytest.approx(8.759483008415106, abs=1e-8)
    np.testing.assert_allclose(
        last.weights, [2.98202304, 3.99832889, 1.99933981], rtol=0, atol=1e-8
    )
    assert last.intercept == pytest.approx(4.99501809, abs=1e-8)
    assert last.losses[-1] == pytest.approx(2.486623610024849, abs=1e-8)


def test_linear_regression_prints_its_epochs_and_draws_its_loss_curve(tmp_path: Path) -> None:
    picture = tmp_path / "loss.png"
    run = subprocess.run(
        [sys.executable, "-m", "examples.linear_regression", str(picture)],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = run.stdout.splitlines()
    assert lines[1].startswith("epoch 1: W=[2.51916934 3.34408372 1.73531408], b=4.42896598")
    assert lines[10].endswith("loss=2.486623610024849")
    assert picture.read_bytes().startswith(b"\x89PNG")
