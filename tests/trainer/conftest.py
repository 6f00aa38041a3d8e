"""Fixtures of the trainer's tests: an isolated environment, and mirrors on the loopback."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.mirror import Mirror, Reply, serve
from trainer import download


@pytest.fixture(autouse=True)
def own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Isolate tests from settings, cache and proxies, and restore signal handlers."""
    for name in list(os.environ):
        if name in ("DATA_DIR", "MODEL_DIR", "CHECKPOINT_DIR") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without pauses."""
    monkeypatch.setattr(download, "_RETRY", download._RETRY.new(backoff_factor=0))


@pytest.fixture
def mirror() -> Iterator[Callable[[dict[str, Reply]], Mirror]]:
    """Start any number of mirrors; each records its requests."""
    with ExitStack() as stack:
        yield lambda replies: stack.enter_context(serve(replies))


@pytest.fixture
def dead_mirror() -> Iterator[str]:
    """A mirror that refuses every connection: its port is bound, without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"
