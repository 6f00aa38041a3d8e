"""A version is loaded by its path, the newest by the path of its model."""

from pathlib import Path

import pytest

from nncore.repository import RepositoryError
from tests.support.models import publish
from trainer.errors import TrainerError
from trainer.versions import load_version


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model with two versions."""
    for seed in (1, 2):
        publish(tmp_path, (4, 3), ["a", "b"], seed)
    return tmp_path / "mnist"


def test_a_path_names_a_version_or_the_newest_of_a_model(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_version(model / "1").manifest.version == 1
    assert load_version(model).manifest.version == 2
    monkeypatch.chdir(model)
    assert load_version(Path("1")).manifest.version == 1
    assert load_version(Path()).manifest.version == 2


@pytest.mark.parametrize("path", ["3", "nothing", "1/model.json"])
def test_a_path_that_is_not_a_folder_is_rejected(model: Path, path: str) -> None:
    with pytest.raises(TrainerError, match="expected the folder of a version"):
        load_version(model / path)


@pytest.mark.parametrize("path", ["..", "1/report"])
def test_a_folder_that_is_not_a_version_is_rejected(model: Path, path: str) -> None:
    with pytest.raises(RepositoryError):
        load_version(model / path)
