from typing import Any

import pytest
from gevent import Timeout, socket
from gunicorn.workers.ggevent import GeventWorker

from service.worker import Worker


def test_a_client_that_does_not_take_its_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(_: Any, __: Any, ___: Any, client: Any, ____: Any) -> None:
        client.sendall(b"x" * 2**26)

    monkeypatch.setattr(GeventWorker, "handle_request", answer)
    monkeypatch.setattr("service.worker._ANSWER_SECONDS", 0.01)
    service, client = socket.socketpair()
    with service, client, Timeout(20), pytest.raises(StopIteration):
        Worker.handle_request(object.__new__(Worker), None, None, service, None)
