import socket
from io import BytesIO

import gevent
import pytest
from flask import Flask, Response

from service.bodies import discard_body, read_body
from service.errors import RequestError


class Slow(BytesIO):
    """Never gives a byte."""

    def read(self, _: int | None = -1) -> bytes:
        gevent.sleep(20)
        raise AssertionError("it was waited for")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.bodies._MOST_SECONDS", 0.01)


def test_a_body_that_takes_too_long_is_given_up() -> None:
    with Flask("test").test_request_context(
        method="POST", input_stream=Slow(), environ_overrides={"wsgi.input_terminated": True}
    ):
        with pytest.raises(RequestError, match=r"expected a whole body within 0\.01") as caught:
            read_body()
        assert caught.value.status == 400


def test_its_connection_ends_with_the_answer() -> None:
    """For nobody knows any more where the next request begins."""
    app = Flask("test")
    ours, theirs = socket.socketpair()
    environ = {"wsgi.input_terminated": True, "gunicorn.socket": ours}
    with (
        ours,
        theirs,
        app.test_request_context(method="POST", input_stream=Slow(), environ_overrides=environ),
    ):
        with pytest.raises(RequestError):
            read_body()
        answer = app.process_response(Response())
        ours.send(b"answer")
        answer.close()
        assert theirs.makefile("rb").read() == b"answer"


def test_so_is_one_that_nobody_wants() -> None:
    discard_body(Slow())


def test_what_arrives_in_time_is_read() -> None:
    with Flask("test").test_request_context(method="POST", data=b"whole"):
        assert read_body() == b"whole"
