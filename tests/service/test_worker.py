import gc
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import Timeout, socket
from gevent.pool import Pool
from gunicorn import util
from gunicorn.http import parser
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.ggevent import GeventWorker

from service.closing_door import let_nobody_in
from service.worker import Worker


def test_a_client_that_does_not_take_its_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(_: Any, __: Any, ___: Any, client: Any, ____: Any) -> None:
        client.sendall(b"x" * 2**26)

    monkeypatch.setattr(GeventWorker, "handle_request", answer)
    monkeypatch.setattr("service.worker._ANSWER_SECONDS", 0.01)
    worker = object.__new__(Worker)
    worker.alive = True
    request = SimpleNamespace(refuse=lambda *_, close: False)
    service, client = socket.socketpair()
    with service, client, Timeout(20), pytest.raises(StopIteration):
        worker.handle_request(None, request, service, None)


@pytest.mark.parametrize(("rest", "expected"), [(b"", 1), (b"POST /predict HTTP/1.1", 8)])
def test_whose_next_request_is_there_waits_longer_for_the_others(
    monkeypatch: pytest.MonkeyPatch, rest: bytes, expected: int
) -> None:
    passes: list[None] = []
    monkeypatch.setattr("service.worker.let_others_go_first", lambda: passes.append(None))
    monkeypatch.setattr(GeventWorker, "handle_request", lambda *_: None)
    unreader = IterUnreader([rest])
    unreader.unread(unreader.read())
    worker = object.__new__(Worker)
    worker.alive = True
    request = SimpleNamespace(refuse=lambda *_, close: False, unreader=unreader)
    service, client = socket.socketpair()
    with service, client:
        worker.handle_request(None, request, service, None)
    assert len(passes) == expected


def test_who_was_coming_in_while_the_door_was_shut_is_heard() -> None:
    asked = []

    def handle(_: Any, client: Any, __: Any) -> None:
        asked.append(client.recv(100))

    worker = object.__new__(Worker)
    worker.handle = handle
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    let_nobody_in(listener)
    server = worker.server_class(listener, spawn=Pool(1))
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        client.connect(listener.getsockname())
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        server.start()
        client.sendall(b"question")
        with Timeout(20):
            server.stop(timeout=20)
    assert asked == [b"question"]


def test_the_application_is_made_to_last(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(worker: Any) -> None:
        worker.wsgi = SimpleNamespace(extensions={"early_refusals": None})

    monkeypatch.setattr(GeventWorker, "load_wsgi", load)
    monkeypatch.setattr(util, "write_error", util.write_error)
    monkeypatch.setattr(parser.RequestParser, "mesg_class", parser.RequestParser.mesg_class)
    worker = object.__new__(Worker)
    try:
        worker.load_wsgi()
        assert not any(known is worker.wsgi for known in gc.get_objects())
    finally:
        gc.unfreeze()
    assert gc.isenabled()
