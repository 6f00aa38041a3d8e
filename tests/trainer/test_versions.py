"""A version is found by its path, as a person would type it."""

from pathlib import Path

import numpy as np
import pytest

from nncore import FCModel
from nncore.repository import ModelRepository, RepositoryError
from trainer.errors import TrainerError
from trainer.versions import load_version


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two versions of one model."""
    repository = ModelRepository(tmp_path / "models")
    for seed in (1, 2):
        repository.publish(
            "letters",
            FCModel((4, 3), (), 2, rng=np.random.default_rng(seed)),
            labels=["a", "b"],
            probe_images=np.zeros((1, 4, 3), np.uint8),
            provenance={},
            report={},
        )
    return tmp_path / "models"


@pytest.mark.parametrize(
    ("path", "version"), [("letters/1", 1), ("letters/2", 2), ("letters", 2), ("letters/1/", 1)]
)
def test_a_version_is_named_by_its_folder_and_the_newest_by_its_models(
    models: Path, path: str, version: int
) -> None:
    manifest = load_version(models / path).manifest
    assert (manifest.name, manifest.version) == ("letters", version)


def test_a_path_may_be_relative(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models / "letters")
    assert load_version(Path("1")).manifest.version == 1
    assert load_version(Path()).manifest.version == 2


@pytest.mark.parametrize("path", ["letters/3", "nothing", "letters/1/model.json"])
def test_what_is_no_folder_is_refused(models: Path, path: str) -> None:
    with pytest.raises(TrainerError, match="expected the folder of a version"):
        load_version(models / path)


@pytest.mark.parametrize("path", [".", "letters/1/report"])
def test_a_folder_that_is_no_version_is_refused(models: Path, path: str) -> None:
    with pytest.raises(RepositoryError):
        load_version(models / path)
