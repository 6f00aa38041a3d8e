"""The published weights load into PyTorch without code of this project."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nncore import scale_pixels
from nncore.repository import ModelRepository

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
PYTHON = ROOT / os.environ.get("PEERS", ".venv-bench") / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="needs PyTorch: make .venv-bench/installed")
def test_the_shipped_weights_answer_the_same_in_a_torch_sequential(tmp_path: Path) -> None:
    published = ModelRepository(MODELS).load("mnist", 1)
    images = scale_pixels(np.array([probe.pixels for probe in published.manifest.probes]))
    np.save(tmp_path / "images.npy", images)
    subprocess.run(
        [
            *(PYTHON, Path(__file__).with_name("torch_answers.py")),
            MODELS / "mnist" / "1" / "model.safetensors",
            ",".join(map(str, published.model.layer_sizes)),
            *(tmp_path / "images.npy", tmp_path / "answers.npy"),
        ],
        check=True,
        timeout=120,
    )
    answers = np.load(tmp_path / "answers.npy")
    np.testing.assert_allclose(answers, published.model.predict(images).T, atol=1e-5)
