import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import Mock

import pytest

from nncore.linear import FrozenLinear
from nncore.repository import ModelRepository, PublishedModel
from nncore.types import Array
from service.errors import RequestError
from service.models.registry import Registry
from service.observability.metrics import Metrics
from service.settings import Settings
from tests.service.conftest import make_app
from tests.support.models import publish
from tests.support.server import DEADLINE_SECONDS


def open_registry(root: Path, **settings: Any) -> Registry:
    registry = Registry(Settings(model_dir=str(root), **settings), Metrics())
    registry.refresh()
    return registry


def error_of(registry: Registry, version: int) -> str:
    with pytest.raises(RequestError) as caught:
        registry.get("mnist", version)
    return f"{caught.value.status} {caught.value.detail}"


@pytest.mark.parametrize(("pinned", "current"), [(None, 2), (1, 1)])
def test_a_refresh_follows_new_versions_unless_one_is_pinned(
    tmp_path: Path, pinned: int | None, current: int
) -> None:
    publish(tmp_path)
    registry = open_registry(tmp_path, model_version=pinned)
    before = registry.get()
    publish(tmp_path)
    assert registry.get() is before
    registry.refresh()
    assert registry.get().version == current


def test_the_least_recently_used_version_is_dropped_without_holding_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the oldest one was dropped, and loading it again held up a refresh."""
    for _ in range(6):
        publish(tmp_path)
    registry = open_registry(tmp_path)
    for version in (1, 2, 3, 4, 1, 5):
        assert registry.get("mnist", version).version == version
    states = registry.versions("mnist")
    assert [n for n, (state, _) in states.items() if state == "loaded"] == [1, 3, 4, 5, 6]
    loads, may_continue, load = Event(), Event(), ModelRepository.load

    def load_slowly(*arguments: Any) -> PublishedModel:
        loads.set()
        assert may_continue.wait(DEADLINE_SECONDS)
        return load(*arguments)

    monkeypatch.setattr(ModelRepository, "load", load_slowly)
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(registry.get, "mnist", 2)
        assert loads.wait(DEADLINE_SECONDS)
        assert (registry.get().version, registry.get("mnist", 5).version) == (6, 5)
        registry.refresh()
        may_continue.set()
        assert second.result().version == 2


@pytest.mark.parametrize(("versions", "current"), [([], None), ([1], 1)])
def test_without_reloading_no_request_loads_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: list[int], current: int | None
) -> None:
    """Regression: without a model, every health check loaded the new version and dropped it."""
    for _ in versions:
        publish(tmp_path)
    client = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0)).test_client()
    load = Mock()
    monkeypatch.setattr(ModelRepository, "load", load)
    publish(tmp_path)
    for path in ("/health/ready", "/v2/health/ready", "/health"):
        assert client.get(path).status_code == (200 if current else 503)
    assert client.get("/models").status_code == 200
    assert client.get("/health").get_json().get("version") == current
    assert client.get("/v1/models/mnist/versions/2").status_code == 404
    load.assert_not_called()


def test_a_damaged_version_is_tried_once_and_loaded_when_it_is_repaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish(tmp_path)
    weights = tmp_path / "mnist" / "2" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"\x7f")
    registry = open_registry(tmp_path)
    assert registry.get().version == 1
    assert "refused: model mnist version 2" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(ModelRepository, "load", Mock(side_effect=AssertionError))
        registry.refresh()
        assert re.match("503 .* SHA-256", error_of(registry, 2))
    weights.unlink()
    weights.write_bytes(content)
    registry.refresh()
    assert registry.get().version == 2


@pytest.mark.parametrize("images", [1, 2])
def test_the_probes_verify_the_path_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    """Regression: the path that skips zeros was not verified."""
    publish(tmp_path, hidden_sizes=(256,))  # large enough to skip zeros
    apply = FrozenLinear.apply

    def apply_wrongly(layer: FrozenLinear, x: Array) -> Array:
        ans = apply(layer, x)
        return -ans if x.shape[1] == images else ans

    monkeypatch.setattr(FrozenLinear, "apply", apply_wrongly)
    assert "probe" in error_of(open_registry(tmp_path), 1)
