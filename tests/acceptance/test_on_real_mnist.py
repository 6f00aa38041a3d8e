"""Accuracy, calibration, memory and resumption of training on real MNIST."""

import contextlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncore import evaluate
from nncore.repository import ModelRepository, PublishedModel
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure
from trainer.mnist import load_mnist

SHIPPED = Path(__file__).parents[2] / "models"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data_dir() -> Path:
    name = os.environ.get("DATA_DIR")
    if not name:
        pytest.skip("needs real MNIST: set DATA_DIR to a directory with its four IDX files")
    return Path(name)


@pytest.fixture(scope="module")
def test_images(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    test = load_mnist(data_dir, tmp_path_factory.mktemp("cache"), mirrors=()).test
    assert test is not None
    return test


def published(models: Path, *options: str) -> dict[str, Any]:
    """Run the trainer and return the manifest of the published version."""
    subprocess.run(
        [
            *(sys.executable, "-m", "trainer", "--model-dir", str(models)),
            *("--checkpoint-dir", str(models.with_name("checkpoints")), *options),
        ],
        check=True,
        timeout=600,
    )
    (manifest,) = models.glob("*/*/model.json")
    document: dict[str, Any] = json.loads(manifest.read_text())
    return document


def test_the_default_recipe_reaches_99_3_percent(data_dir: Path, tmp_path: Path) -> None:
    version = published(tmp_path, "--data-dir", str(data_dir))
    assert version["name"] == "mnist"
    assert version["metrics"]["test"]["images"] == 10_000
    assert version["metrics"]["test"]["accuracy"] >= 0.993
    assert version["metrics"]["test"]["calibration_error"] <= 0.005


def test_the_quick_recipe_reaches_98_percent(data_dir: Path, tmp_path: Path) -> None:
    version = published(tmp_path, "--data-dir", str(data_dir), "--recipe", "quick")
    assert version["metrics"]["test"]["accuracy"] >= 0.98


def test_a_network_trained_on_synthetic_digits_reaches_90_percent(
    test_images: LabelledImages, tmp_path: Path
) -> None:
    version = published(tmp_path, "--dataset", "synthetic", "--epochs", "8")
    assert version["name"] == "synthetic"
    model = ModelRepository(tmp_path).load("synthetic").model
    assert evaluate(model, test_images.as_dataset()).accuracy >= 0.9


def test_training_uses_less_than_500_megabytes(data_dir: Path, tmp_path: Path) -> None:
    published(tmp_path, "--data-dir", str(data_dir), "--recipe", "best", "--epochs", "1")
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert kilobytes < 500 * 1024


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(
    data_dir: Path, tmp_path: Path
) -> None:
    options = ("--data-dir", str(data_dir), "--recipe", "quick", "--hidden-sizes", "64")
    whole = published(tmp_path / "whole", *options)
    command = [
        *(sys.executable, "-m", "trainer", "--resume", "--checkpoint-dir", str(tmp_path / "c")),
        *("--model-dir", str(tmp_path / "models"), *options),
    ]
    moments = np.random.default_rng().uniform(0.3, 3, size=10)
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moment)
        process.kill()
        process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # More than one if a run had published before its kill: the next one started again.
    digests = {
        json.loads(manifest.read_text())["sha256"]
        for manifest in (tmp_path / "models").rglob("model.json")
    }
    assert digests == {whole["sha256"]}, moments
    assert list((tmp_path / "c").iterdir()) == []


@pytest.fixture(scope="module")
def shipped() -> PublishedModel:
    return ModelRepository(SHIPPED).load("mnist")


def test_the_shipped_version_has_the_accuracy_in_its_manifest(
    shipped: PublishedModel, test_images: LabelledImages
) -> None:
    recorded = shipped.manifest.provenance["metrics"]["test"]
    measured = measure(answer_all(shipped.model.predict, test_images), test_images.labels)
    # Two images: other processors round differently.
    assert measured["accuracy"] == pytest.approx(recorded["accuracy"], abs=2e-4)
    assert measured["accuracy"] >= 0.9955
    assert measured["calibration_error"] <= 0.005
