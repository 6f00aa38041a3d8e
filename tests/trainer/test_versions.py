"""A version is loaded by its path, the newest by the path of its model."""

from pathlib import Path

import pytest

from nncore.repository import RepositoryError
from tests.support.models import publish
from trainer.errors import TrainerError
from trainer.versions import load_version


def test_a_path_names_a_version_or_the_newest_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 2):
        publish(tmp_path, (4, 3), ["a", "b"], seed)
    model = tmp_path / "mnist"
    assert load_version(model / "1").manifest.version == 1
    assert load_version(model).manifest.version == 2
    monkeypatch.chdir(model)
    assert load_version(Path()).manifest.version == 2
    for path in ("3", "1/model.json"):
        with pytest.raises(TrainerError, match="expected the folder of a version"):
            load_version(model / path)
    for path in ("..", "1/report"):
        with pytest.raises(RepositoryError):
            load_version(model / path)
