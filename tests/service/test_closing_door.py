import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from service.closing_door import close_gently, hear, let_nobody_in

_SECONDS = 0.2


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def listener(request: pytest.FixtureRequest) -> Any:
    host, family = request.param
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"no address {host} here")
    with listener:
        listener.setblocking(False)
        yield listener


def test_nobody_comes_in_and_who_is_in_is_served(listener: socket.socket) -> None:
    address = listener.getsockname()[:2]
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


def test_who_was_just_coming_in_is_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        let_nobody_in(listener)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        client.connect(listener.getsockname())
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        taken, _ = listener.accept()
        with taken:
            client.sendall(b"question")
            taken.settimeout(_SECONDS / 2)
            with pytest.raises(TimeoutError):
                taken.recv(100)
            hear(taken)
            taken.settimeout(5)
            assert taken.recv(100) == b"question"


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
    address = listener.getsockname()[:2]
    # As a worker does, somebody still listens.
    with listener.dup():
        own = SimpleNamespace(
            family=listener.family, close=listener.close, setsockopt=listener.setsockopt
        )
        master = {"pid": os.getpid(), "reexec_pid": 0, "master_pid": 0, "systemd": False} | who
        close_gently(SimpleNamespace(LISTENERS=[own], **master))
        own.close()
        assert listener.fileno() == -1
        if ends:
            with pytest.raises(TimeoutError):
                socket.create_connection(address, _SECONDS)
        else:
            socket.create_connection(address, _SECONDS).close()
