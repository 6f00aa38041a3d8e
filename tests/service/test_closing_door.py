import os
import socket
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from service.closing_door import close_gently, let_nobody_in


def _is_permitted() -> bool:
    with socket.create_server(("127.0.0.1", 0)) as listener, suppress(OSError):
        let_nobody_in(listener)
        return True
    return False


pytestmark = pytest.mark.skipif(
    not _is_permitted(), reason="the system does not permit a packet filter"
)
_SECONDS = 0.2


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def test_nobody_comes_in_and_who_is_in_is_served(listener: socket.socket) -> None:
    address = listener.getsockname()
    with socket.create_connection(address) as early:
        let_nobody_in(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, _SECONDS)
        taken, _ = listener.accept()
        with pytest.raises(BlockingIOError):
            listener.accept()
        with taken:
            early.sendall(b"question")
            assert taken.recv(100) == b"question"
            taken.sendall(b"answer")
            assert early.recv(100) == b"answer"


@pytest.mark.parametrize(
    ("who", "ends"),
    [
        ({}, True),
        ({"pid": os.getpid() + 1}, False),  # a worker closes it
        ({"reexec_pid": 7}, False),
        ({"master_pid": 7}, False),
        ({"systemd": True}, False),
    ],
)
def test_only_the_last_master_shuts_the_door(
    listener: socket.socket, who: dict[str, int], ends: bool
) -> None:
    address = listener.getsockname()
    # As a worker does, somebody still listens.
    with listener.dup():
        own = SimpleNamespace(close=listener.close, setsockopt=listener.setsockopt)
        master = {"pid": os.getpid(), "reexec_pid": 0, "master_pid": 0, "systemd": False} | who
        close_gently(SimpleNamespace(LISTENERS=[own], **master))
        own.close()
        assert listener.fileno() == -1
        if ends:
            with pytest.raises(TimeoutError):
                socket.create_connection(address, _SECONDS)
        else:
            socket.create_connection(address, _SECONDS).close()
