from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from flask.testing import FlaskClient
from werkzeug.test import create_environ

from service.admission import Admission, Doorkeeper
from service.errors import RequestError
from service.observation import OBSERVATION, Observation
from service.turns import Turns
from tests.service.server import wait_until

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MIB = 2**20


def check_refused(admission: Admission, size: int) -> None:
    assert not admission.has_room(size)
    with pytest.raises(RequestError) as caught, admission.admit(size):
        pass
    assert caught.value.status == 503
    assert int(caught.value.headers["Retry-After"]) > 0


def test_requests_are_bounded() -> None:
    admission = Admission(2)
    with admission.admit(1), admission.admit(1):
        check_refused(admission, 1)
    with admission.admit(1):
        assert admission.has_room(1)


def test_their_bodies_are_bounded() -> None:
    admission = Admission(64)
    with admission.admit(3 * MIB):
        assert admission.has_room(MIB)
        check_refused(admission, MIB + 1)


def test_a_request_that_is_alone_may_be_of_any_size() -> None:
    with Admission(64).admit(100 * MIB):
        pass


def test_a_request_that_fails_gives_its_place_back() -> None:
    admission = Admission(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), admission.admit(1):
            raise ValueError("broken")
    assert admission.has_room(1)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/predict", "application/problem+json"), ("/v2/models/mnist/infer", "application/json")],
)
def test_a_request_beyond_is_refused_at_the_door(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str, content_type: str
) -> None:
    monkeypatch.setattr(Admission, "has_room", lambda *_: False)
    answer = client.post(path, data=b"x" * 1000, headers={"X-Request-ID": "late"})
    assert answer.status_code == 503
    assert answer.content_type == content_type
    assert int(answer.headers["Retry-After"]) > 0
    document = answer.get_json()
    assert "try again later" in document["error"]
    assert document["request_id"] == "late" == answer.headers["X-Request-ID"]
    assert client.get("/health").status_code == 200


def test_a_refusal_waits_for_its_turn_and_then_reads_the_body() -> None:
    turns, body, statuses = Turns(), BytesIO(b"x" * 1000), list[str]()
    door = Doorkeeper(_answer_everything, Admission(0), turns)

    def ask(method: str) -> Iterable[bytes]:
        environ = create_environ(method=method, input_stream=body, content_length=1000)
        environ[OBSERVATION] = Observation("id")
        return door(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as others, turns.take():
        refused = others.submit(ask, "POST")
        wait_until(lambda: bool(turns._refusing), "the refusal to wait")
        ask("GET")
        assert statuses == ["200 OK"]
    answer = refused.result(20)
    assert statuses == ["200 OK", "503 Service Unavailable"]
    assert body.tell() == 0
    answer.close()  # type: ignore[attr-defined]
    assert body.tell() == 1000


def _answer_everything(_: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    start("200 OK", [])
    return []
