"""Accuracy, calibration and memory of training on real MNIST; .ci/containers trains `default`.

They need DATA_DIR, a directory with the four IDX files.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nncore import evaluate
from nncore.repository import ModelRepository
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure
from trainer.mnist import load_mnist

SHIPPED = Path(__file__).parents[2] / "models"
DATA_DIR = os.environ.get("DATA_DIR", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA_DIR, reason="needs real MNIST in DATA_DIR"),
]


@pytest.fixture
def test_images(tmp_path: Path) -> LabelledImages:
    test = load_mnist(Path(DATA_DIR), tmp_path / "cache", mirrors=()).test
    assert test is not None
    return test


def command(models: Path, *options: str) -> list[str]:
    folders = ["--model-dir", str(models), "--checkpoint-dir", str(models.with_name("checkpoints"))]
    return [sys.executable, "-m", "trainer", "--data-dir", DATA_DIR, *folders, *options]


def published(models: Path, *options: str) -> dict[str, Any]:
    """Run the trainer and return the manifest of the published version."""
    subprocess.run(command(models, *options), check=True, timeout=600)
    (manifest,) = models.glob("*/*/model.json")
    document: dict[str, Any] = json.loads(manifest.read_text())
    return document


def test_the_quick_recipe_reaches_its_accuracy(tmp_path: Path) -> None:
    version = published(tmp_path / "models", "--recipe", "quick")
    assert version["name"] == "mnist"
    assert version["metrics"]["test"]["images"] == 10_000
    assert version["metrics"]["test"]["accuracy"] >= 0.98
    assert version["metrics"]["test"]["calibration_error"] <= 0.005


def test_a_network_trained_on_synthetic_digits_reaches_90_percent(
    test_images: LabelledImages, tmp_path: Path
) -> None:
    published(tmp_path / "models", "--dataset", "synthetic", "--epochs", "8")
    model = ModelRepository(tmp_path / "models").load("synthetic").model
    assert evaluate(model, test_images.as_dataset()).accuracy >= 0.9


def test_training_uses_less_than_500_megabytes(tmp_path: Path) -> None:
    published(tmp_path / "models", "--recipe", "best", "--epochs", "1")
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert kilobytes < 500 * 1024


def test_the_shipped_version_has_the_accuracy_in_its_manifest(test_images: LabelledImages) -> None:
    shipped = ModelRepository(SHIPPED).load("mnist")
    recorded = shipped.manifest.provenance["metrics"]["test"]
    measured = measure(answer_all(shipped.model.predict, test_images), test_images.labels)
    # Two images: other processors round differently.
    assert measured["accuracy"] == pytest.approx(recorded["accuracy"], abs=2e-4)
    assert measured["accuracy"] >= 0.9955
    assert measured["calibration_error"] <= 0.005
