"""A worker that is full refuses what comes, as it arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from socket import SHUT_WR
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import Timeout
from gevent import socket as gevent_socket
from gunicorn.config import Config
from gunicorn.http.unreader import IterUnreader, SocketUnreader

from benchmarks.repeating import repeating
from service.admission import Admission
from service.early_refusals import EarlyRefusals, RefusableRequest
from tests.service.conftest import publish
from tests.service.pictures import draw, encode
from tests.service.server import DEADLINE_SECONDS, Service, running, wait_until

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HEAD = b"POST %s HTTP/1.1\r\nHost: a\r\nX-Request-ID: late\r\nContent-Length: 3\r\n\r\n"
HEADERS = {"Content-Type": "application/json"}
BODY = json.dumps({"pixels": [0] * 784})
CLIENT = ("192.0.2.7", 4711)


def refuse(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    start("503 Service Unavailable", [("X-Path", environ["PATH_INFO"])])
    return [b"full"]


def make_request(unreader: IterUnreader, most_requests: int) -> Any:
    refusals = EarlyRefusals(Admission(most_requests), refuse)
    return RefusableRequest(refusals, Config(), unreader, CLIENT)


def test_what_follows_a_refused_request_stays() -> None:
    unreader = IterUnreader([HEAD % b"/predict" + b"abc" + HEAD % b"/next"])
    request = make_request(unreader, 0)
    assert request._head.environ["REMOTE_ADDR"] == CLIENT[0]
    assert not request.should_close()
    assert request.body.read() == b""
    assert unreader.read() == HEAD % b"/next"


def test_of_a_refused_request_only_the_rest_is_read() -> None:
    unreader = IterUnreader([HEAD % b"/predict" + b"a", b"bc" + HEAD % b"/next"])
    request = make_request(unreader, 0)
    assert request.body.read() == b"bc"
    assert unreader.read() == HEAD % b"/next"


@pytest.mark.parametrize(
    ("data", "most_requests"), [(HEAD % b"/predict", 1), (b"GET /health HTTP/1.1\r\n\r\n", 0)]
)
def test_others_are_read_by_gunicorn(data: bytes, most_requests: int) -> None:
    request = make_request(IterUnreader([data]), most_requests)
    assert not request.refuse(None, close=False)
    assert f"{request.method} {request.path}".encode() == data.rpartition(b" HTTP")[0]


@pytest.mark.parametrize(("close", "connection"), [(True, "close"), (False, "keep-alive")])
def test_the_answer_comes_before_the_body(close: bool, connection: str) -> None:
    service, client = gevent_socket.socketpair()
    with service, client, Timeout(DEADLINE_SECONDS):
        client.sendall(HEAD % b"/predict")
        refusals = EarlyRefusals(Admission(0), refuse)
        request = RefusableRequest(refusals, Config(), SocketUnreader(service), "")
        refusing = gevent.spawn(request.refuse, service, close=close)
        answer = HTTPResponse(client)
        answer.begin()
        assert (answer.status, answer.reason) == (503, "Service Unavailable")
        assert answer.getheader("X-Path") == "/predict"
        assert answer.getheader("Connection") == connection
        assert not refusing.dead
        client.sendall(b"abc")
        refusing.join()
        client.shutdown(SHUT_WR)
        service.shutdown(SHUT_WR)
        assert answer.read() == b"full"


@contextmanager
def full(service: Service) -> Iterator[None]:
    """Keep a worker's one place taken: a picture is decoded in a thread beside the requests."""
    picture = encode(draw(2000))
    connection = service.connect()

    def fill() -> None:
        connection.request("POST", "/predict", picture, {"Content-Type": "image/png"})
        connection.getresponse().read()

    with closing(connection), repeating(fill, 0):
        yield


def test_a_worker_that_is_full_refuses_and_goes_on(tmp_path: Path) -> None:
    publish(tmp_path / "models")
    settings = {"WEB_CONCURRENCY": "1", "MAX_IN_FLIGHT": "1", "LOG_FORMAT": "json"}
    with running(tmp_path / "models", tmp_path / "log", settings) as service:
        connection = service.connect()

        def ask(path: str) -> HTTPResponse:
            connection.request("POST", path, BODY, {**HEADERS, "X-Request-ID": f"late{path}"})
            return connection.getresponse()

        def is_refused(path: str, content_type: str) -> bool:
            answer = ask(path)
            document = json.loads(answer.read())
            if answer.status == 200:
                return False
            assert answer.status == 503
            assert answer.getheader("Content-Type") == content_type
            assert int(answer.getheader("Retry-After", "")) > 0
            assert answer.getheader("X-Request-ID") == document["request_id"] == f"late{path}"
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
            assert answer.getheader("Server") == "nodestack"
            assert "try again later" in document["error"]
            return True

        with full(service):
            wait_until(lambda: is_refused("/predict", "application/problem+json"), "a refusal")
            path = "/v1/models/mnist:predict"
            wait_until(
                lambda: is_refused(path, "application/json"), "a refusal of another server's"
            )
            assert service.ask("/health")[0] == 200
        assert json.loads(ask("/predict").read())["predictions"]
        connection.request("GET", "/metrics")
        figures = connection.getresponse().read().decode()
        assert 'nodestack_requests_total{protocol="none",route="none",status="503"}' in figures
        connection.close()
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        # The picture may have come too late itself.
        refused = [line for line in lines if line.get("request_id", "").startswith("late")]
        refused = [line for line in refused if line["status"] == 503]
        assert {line["request_id"] for line in refused} == {"late/predict", f"late{path}"}
        assert {line["client"] for line in refused} == {"127.0.0.1"}
        assert all("try again later" in line["error"] for line in refused)
