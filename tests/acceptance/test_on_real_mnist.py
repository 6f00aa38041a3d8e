"""The promises about real MNIST, kept by the real job on the real images."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nncore import ModelRepository, evaluate
from trainer.labelled_images import LabelledImages
from trainer.mnist import load_mnist

SHIPPED = Path(__file__).parents[2] / "models"


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
    """Run the job and read what it says of the version it published."""
    subprocess.run(
        [sys.executable, "-m", "trainer", "--model-dir", str(models), *options],
        check=True,
        timeout=600,
    )
    (manifest,) = models.glob("*/*/model.json")
    document: dict[str, Any] = json.loads(manifest.read_text())
    return document


def test_the_default_recipe_reads_982_in_1000(data_dir: Path, tmp_path: Path) -> None:
    version = published(tmp_path, "--data-dir", str(data_dir))
    assert version["name"] == "mnist"
    assert version["metrics"]["test"]["images"] == 10_000
    assert version["metrics"]["test"]["accuracy"] >= 0.982


def test_the_notebook_s_recipe_reads_975_in_1000(data_dir: Path, tmp_path: Path) -> None:
    version = published(tmp_path, "--data-dir", str(data_dir), "--recipe", "notebook")
    assert version["metrics"]["test"]["accuracy"] >= 0.975


def test_a_network_that_saw_only_synthetic_digits_reads_half_of_the_real_ones(
    test_images: LabelledImages, tmp_path: Path
) -> None:
    version = published(tmp_path, "--dataset", "synthetic")
    assert version["name"] == "synthetic"
    model = ModelRepository(tmp_path).load("synthetic").model
    accuracy = evaluate(model, test_images.as_dataset()).accuracy
    print(f"trained on synthetic digits, it reads {accuracy:.2%} of MNIST's test images")
    assert accuracy >= 0.5


def test_the_version_we_ship_is_as_good_as_it_says(test_images: LabelledImages) -> None:
    shipped = ModelRepository(SHIPPED).load("mnist")
    said = shipped.manifest.provenance["metrics"]["test"]["accuracy"]
    measured = evaluate(shipped.model, test_images.as_dataset()).accuracy
    assert measured == pytest.approx(said, abs=2e-4)  # two images, for another processor's rounding
    assert measured >= 0.982
