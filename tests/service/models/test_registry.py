"""The registry follows the repository: what is published, damaged, mended and removed."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nncore import ModelRepository
from service.errors import RequestError
from service.metrics import Metrics
from service.models import Models
from service.settings import Settings
from tests.service.conftest import publish

IMAGES = np.random.default_rng(0).random((3, 784), np.float32)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Models]:
    def load_models(**settings: str | int) -> Models:
        models = Models(Settings(model_dir=str(tmp_path), **settings), Metrics())  # type: ignore[arg-type]
        models.refresh()
        return models

    return load_models


def spoil(root: Path, version: int) -> None:
    weights = root / "mnist" / str(version) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")


def refusal(models: Models, *which: str | int) -> RequestError:
    with pytest.raises(RequestError) as caught:
        models.get(*which)  # type: ignore[arg-type]
    assert "\n" not in caught.value.detail
    return caught.value


def test_the_highest_version_is_current(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    latest = publish(tmp_path, seed=1)
    model = load().get()
    assert (model.name, model.version) == ("mnist", 2)
    np.testing.assert_allclose(
        model.predict(IMAGES), latest.model.predict(IMAGES).T, rtol=0, atol=1e-6
    )


def test_a_pinned_version_is_current(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    publish(tmp_path)
    models = load(model_version=1)
    assert models.get().version == 1
    publish(tmp_path)
    models.refresh()
    assert models.get().version == 1


def test_any_version_answers_by_its_number(tmp_path: Path, load: Callable[..., Models]) -> None:
    first, _ = publish(tmp_path), publish(tmp_path, seed=1)
    models = load()
    assert [model.version for model in models.loaded] == [2]
    model = models.get("mnist", 1)
    np.testing.assert_allclose(
        model.predict(IMAGES), first.model.predict(IMAGES).T, rtol=0, atol=1e-6
    )
    assert models.get("mnist", 1) is model
    assert models.get().version == 2


def test_memory_holds_few_of_many_versions(tmp_path: Path, load: Callable[..., Models]) -> None:
    for _ in range(9):
        publish(tmp_path)
    models = load()
    for version in range(1, 10):
        assert models.get("mnist", version).version == version
    assert len(models.loaded) <= 6
    assert models.get().version == 9


def test_a_new_version_takes_over(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    models = load()
    before = models.get()
    publish(tmp_path, seed=1)
    assert models.get() is before
    models.refresh()
    assert models.get().version == 2


def test_what_stays_is_not_loaded_again(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    models = load()
    before = models.get()
    models.refresh()
    assert models.get() is before


def test_a_damaged_version_is_refused_once_and_the_one_before_answers(
    tmp_path: Path,
    load: Callable[..., Models],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(tmp_path)
    models = load()
    publish(tmp_path)
    spoil(tmp_path, 2)
    with caplog.at_level(logging.ERROR):
        models.refresh()
    assert "refused: mnist 2" in caplog.text
    assert models.get().version == 1
    assert "SHA-256" in models.refused["mnist", 2].reason

    caplog.clear()
    tried = []
    monkeypatch.setattr(ModelRepository, "load", lambda *arguments: tried.append(arguments))
    models.refresh()
    assert tried == []
    assert caplog.text == ""
    error = refusal(models, "mnist", 2)
    assert error.status == 503
    assert "SHA-256" in error.detail


def test_a_refused_version_that_is_mended_is_served(
    tmp_path: Path, load: Callable[..., Models]
) -> None:
    publish(tmp_path)
    publish(tmp_path)
    weights = tmp_path / "mnist" / "2" / "model.safetensors"
    sound = weights.read_bytes()
    spoil(tmp_path, 2)
    models = load()
    assert models.get().version == 1
    mended = weights.with_name("mended")
    mended.write_bytes(sound)
    mended.rename(weights)
    models.refresh()
    assert models.get().version == 2
    assert models.refused == {}


def test_a_version_damaged_while_it_is_served_goes_on(
    tmp_path: Path, load: Callable[..., Models]
) -> None:
    publish(tmp_path)
    models = load()
    before = models.get()
    spoil(tmp_path, 1)
    models.refresh()
    assert models.get() is before
    assert ("mnist", 1) in models.refused


def test_a_removed_version_is_not_offered(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    publish(tmp_path)
    models = load()
    assert models.get("mnist", 1).version == 1
    shutil.rmtree(tmp_path / "mnist" / "2")
    models.refresh()
    assert models.get().version == 1
    error = refusal(models, "mnist", 2)
    assert error.status == 404
    assert "that is there (1), got 2" in error.detail


def test_a_removed_model_is_not_offered(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    models = load()
    shutil.rmtree(tmp_path / "mnist")
    models.refresh()
    assert models.loaded == []
    error = refusal(models)
    assert error.status == 503
    assert error.headers["Retry-After"]


def test_a_model_that_is_not_there(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    models = load()
    for name in ("letters", "../mnist", ""):
        if name:
            error = refusal(models, name)
            assert error.status == 404
            assert "that is there (mnist)" in error.detail


def test_without_a_model_the_reason_says_what_to_run(
    tmp_path: Path, load: Callable[..., Models]
) -> None:
    assert refusal(load()).detail == (
        f"no model 'mnist' in {tmp_path}: run `make train` (or `docker compose run trainer`)"
    )


def test_a_pinned_version_that_is_not_there(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    detail = refusal(load(model_version=7)).detail
    assert "no version 7 of model 'mnist'" in detail
    assert "set MODEL_VERSION" in detail


def test_only_a_damaged_version(tmp_path: Path, load: Callable[..., Models]) -> None:
    publish(tmp_path)
    spoil(tmp_path, 1)
    error = refusal(load())
    assert error.status == 503
    assert "SHA-256" in error.detail
    assert "publish a new version" in error.detail


def test_a_name_that_no_model_can_have(load: Callable[..., Models]) -> None:
    assert "expected a model name" in refusal(load(model_name="../secrets")).detail


def test_a_folder_that_cannot_be_read(
    tmp_path: Path, load: Callable[..., Models], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path)
    models = load()

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        models.refresh()
        assert models.get().version == 1
        detail = refusal(load()).detail
    assert "Permission denied" in detail
    assert "check MODEL_DIR" in detail


@pytest.mark.parametrize("name", ["1", "01", "x"])
def test_a_file_in_the_place_of_a_version(
    tmp_path: Path, load: Callable[..., Models], name: str
) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / name).write_text("no version")
    publish(tmp_path)
    models = load()
    assert models.get().version in (1, 2)
