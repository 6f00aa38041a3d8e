"""Clients that hold connections, and ask for nothing."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.service.conftest import publish
from tests.service.server import running

_CONNECTIONS = 1100
_USUAL_OPEN_FILES = 1024


@pytest.fixture
def usual_open_files() -> Iterator[None]:
    """Allow as many open files as many a shell does, though more may be asked for."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2 * _USUAL_OPEN_FILES:
        pytest.skip(f"expected to be allowed {2 * _USUAL_OPEN_FILES} open files, got {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_USUAL_OPEN_FILES, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.usefixtures("usual_open_files")
def test_a_thousand_idle_connections_keep_nobody_waiting(tmp_path: Path) -> None:
    publish(tmp_path / "models")
    settings = {"WEB_CONCURRENCY": "1"}
    with running(tmp_path / "models", tmp_path / "log", settings) as service, ExitStack() as idle:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        clients = [idle.enter_context(service.open_socket()) for _ in range(_CONNECTIONS)]
        assert service.ask("/health")[0] == 200
        # It did not have to wait until the service closed one of them.
        clients[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            clients[0].recv(1)
