import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import Mock

import pytest

from nncore.repository import ModelRepository, PublishedModel
from service.errors import RequestError
from service.models.registry import Registry
from service.observability.metrics import Metrics
from service.settings import Settings
from tests.service.conftest import make_app
from tests.support.models import publish
from tests.support.server import DEADLINE_SECONDS


def loaded(registry: Registry) -> list[int]:
    return [n for n, (state, _) in registry.versions("mnist").items() if state == "loaded"]


def open_registry(root: Path, **settings: Any) -> Registry:
    registry = Registry(Settings(model_dir=str(root), **settings), Metrics())
    registry.refresh()
    return registry


def damage(root: Path, version: int) -> bytes:
    """Change the last byte of a version's weights; return the undamaged file."""
    weights = root / "mnist" / str(version) / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"\x7f")
    return content


def error_of(registry: Registry, name: str | None = None, version: int | None = None) -> str:
    """Return status, detail and headers of the error for a model that cannot answer."""
    with pytest.raises(RequestError) as caught:
        registry.get(name, version)
    assert "\n" not in caught.value.detail
    return f"{caught.value.status} {caught.value.detail} {caught.value.headers}"


def test_the_highest_version_is_current_and_others_answer_by_number(tmp_path: Path) -> None:
    for _ in range(2):
        publish(tmp_path)
    registry = open_registry(tmp_path)
    assert loaded(registry) == [2]
    assert registry.get("mnist", 1).version == 1
    assert registry.get("mnist", 1) is registry.get("mnist", 1)


@pytest.mark.parametrize(("pinned", "current"), [(None, 2), (1, 1)])
def test_a_refresh_follows_new_versions_unless_one_is_pinned(
    tmp_path: Path, pinned: int | None, current: int
) -> None:
    publish(tmp_path)
    registry = open_registry(tmp_path, model_version=pinned)
    before = registry.get()
    registry.refresh()
    publish(tmp_path)
    assert registry.get() is before
    registry.refresh()
    assert registry.get().version == current


def test_the_least_recently_used_version_is_dropped(tmp_path: Path) -> None:
    for _ in range(6):
        publish(tmp_path)
    registry = open_registry(tmp_path)
    for version in (1, 2, 3, 4, 1, 5):
        assert registry.get("mnist", version).version == version
    assert loaded(registry) == [1, 3, 4, 5, 6]


def test_without_reloading_no_request_loads_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path)
    client = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0)).test_client()
    load = Mock()
    monkeypatch.setattr(ModelRepository, "load", load)
    publish(tmp_path)
    for path in ("/health/ready", "/v2/health/ready", "/models", "/health"):
        assert client.get(path).status_code == 200
    assert client.get("/health").get_json()["version"] == 1
    assert client.get("/v1/models/mnist/versions/2").status_code == 404
    load.assert_not_called()


def test_other_versions_answer_while_one_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        publish(tmp_path)
    registry = open_registry(tmp_path)
    registry.get("mnist", 2)
    loads, may_continue, load = Event(), Event(), ModelRepository.load

    def load_slowly(*arguments: Any) -> PublishedModel:
        loads.set()
        assert may_continue.wait(DEADLINE_SECONDS)
        return load(*arguments)

    monkeypatch.setattr(ModelRepository, "load", load_slowly)
    with ThreadPoolExecutor(1) as thread:
        loaded = thread.submit(registry.get, "mnist", 1)
        assert loads.wait(DEADLINE_SECONDS)
        assert (registry.get().version, registry.get("mnist", 2).version) == (3, 2)
        registry.refresh()
        may_continue.set()
        assert loaded.result().version == 1


def test_a_damaged_version_is_tried_once_and_the_one_before_it_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish(tmp_path)
    damage(tmp_path, 2)
    registry = open_registry(tmp_path)
    assert registry.get().version == 1
    assert "refused: model mnist version 2" in caplog.text
    load = Mock()
    monkeypatch.setattr(ModelRepository, "load", load)
    registry.refresh()
    assert re.match("503 .* SHA-256", error_of(registry, "mnist", 2))
    load.assert_not_called()


def test_a_version_that_is_damaged_in_use_answers_and_a_repaired_one_is_loaded(
    tmp_path: Path,
) -> None:
    publish(tmp_path)
    registry = open_registry(tmp_path)
    before = registry.get()
    content = damage(tmp_path, 1)
    registry.refresh()
    assert registry.get() is before
    assert "SHA-256" in registry.versions("mnist")[1][1]
    (tmp_path / "repaired").write_bytes(content)
    (tmp_path / "repaired").rename(tmp_path / "mnist" / "1" / "model.safetensors")
    registry.refresh()
    assert registry.get() is not before
    assert registry.versions("mnist") == {1: ("loaded", "")}


def test_a_removed_version_is_not_served(tmp_path: Path) -> None:
    for _ in range(2):
        publish(tmp_path)
    registry = open_registry(tmp_path)
    shutil.rmtree(tmp_path / "mnist" / "2")
    registry.refresh()
    assert registry.get().version == 1
    assert re.match(r"404 .*\(available: 1\)", error_of(registry, "mnist", 2))
    shutil.rmtree(tmp_path / "mnist")
    registry.refresh()
    assert loaded(registry) == []
    assert "Retry-After" in error_of(registry)


@pytest.mark.parametrize(
    ("settings", "name", "pattern"),
    [
        ({}, "../mnist", "404 .*available: mnist"),
        ({"model_name": "letters"}, None, "503 .*make train"),
        ({"model_version": 7}, None, "503 .*available: 1.*MODEL_VERSION"),
    ],
)
def test_the_error_for_a_missing_model_names_the_remedy(
    published: PublishedModel,
    model_dir: Path,
    settings: dict[str, Any],
    name: str | None,
    pattern: str,
) -> None:
    assert re.match(pattern, error_of(open_registry(model_dir, **settings), name))


def test_an_unreadable_repository_is_reported_and_loaded_models_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path)
    registry = open_registry(tmp_path)
    monkeypatch.setattr(Path, "iterdir", Mock(side_effect=PermissionError("denied")))
    registry.refresh()
    assert registry.get().version == 1
    assert "MODEL_DIR" in error_of(open_registry(tmp_path))
