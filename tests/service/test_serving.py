from pathlib import Path

import numpy as np
import pytest

from nncore import PublishedModel
from service.serving import NotReady, ServedModel, load_model
from service.settings import Settings
from tests.service.conftest import publish


def why_not(settings: Settings) -> str:
    model = load_model(settings)
    assert isinstance(model, NotReady)
    assert "\n" not in model.reason
    return model.reason


def test_the_highest_version_is_served(tmp_path: Path) -> None:
    publish(tmp_path)
    latest = publish(tmp_path, seed=1)
    model = load_model(Settings(model_dir=str(tmp_path)))
    assert isinstance(model, ServedModel)
    assert (model.name, model.version) == ("mnist", 2)
    images = np.random.default_rng(0).random((3, 784), np.float32)
    np.testing.assert_array_equal(model.predict(images), latest.model.predict(images).T)


def test_a_pinned_version_is_served(tmp_path: Path) -> None:
    publish(tmp_path)
    publish(tmp_path)
    model = load_model(Settings(model_dir=str(tmp_path), model_version=1))
    assert isinstance(model, ServedModel)
    assert model.version == 1


def test_without_a_model_the_reason_says_what_to_run(tmp_path: Path) -> None:
    assert why_not(Settings(model_dir=str(tmp_path / "models"))) == (
        f"no model 'mnist' in {tmp_path / 'models'}: run `make train` "
        "(or `docker compose run trainer`), then restart the service"
    )


def test_a_version_that_is_not_there(published: PublishedModel, tmp_path: Path) -> None:
    reason = why_not(Settings(model_dir=str(tmp_path), model_version=7))
    assert "no version 7 of model 'mnist'" in reason
    assert "set MODEL_VERSION" in reason


def test_a_damaged_version(published: PublishedModel, tmp_path: Path) -> None:
    weights = tmp_path / "mnist" / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    reason = why_not(Settings(model_dir=str(tmp_path)))
    assert "SHA-256" in reason
    assert "publish a new version" in reason


def test_a_name_that_no_model_can_have() -> None:
    assert "expected a model name" in why_not(Settings(model_name="../secrets"))


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    publish(tmp_path)
    monkeypatch.setattr(Path, "iterdir", refuse)
    reason = why_not(Settings(model_dir=str(tmp_path)))
    assert "Permission denied" in reason
    assert "check MODEL_DIR" in reason
