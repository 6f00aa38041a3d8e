"""Keys, a rate limit, and the head of every answer, over a socket."""

import http.client
import io
import json
from collections.abc import Iterator

import pytest

from tests.service.conftest import publish
from tests.service.server import JSON, MAX_BODY_BYTES, Service, running

KEY = "the-only-key"
IMAGE = json.dumps({"pixels": [0] * 784})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("gates")
    publish(folder / "models")
    keys = folder / "keys"
    keys.write_text(f"{KEY}\nthe-greedy-key\n")
    environment = {
        "WEB_CONCURRENCY": "1",
        "API_KEYS_FILE": str(keys),
        "RATE_LIMIT": "50/hour",
        "LOG_LEVEL": "debug",
    }
    with running(folder / "models", folder / "log", environment) as service:
        yield service


def ask(
    service: Service, path: str, body: str | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """Give an answer's status, head and body."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = service.connect()
    connection.request("POST" if body else "GET", path, body, (JSON if body else {}) | given)
    answer = connection.getresponse()
    status, head, text = answer.status, answer.headers, answer.read().decode()
    connection.close()
    return status, head, text


def exchange(service: Service, request: bytes) -> bytes:
    """Send bytes and give all that comes until the connection is closed."""
    with service.open_socket() as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(2**16), b""))


def check_head(head: http.client.HTTPMessage) -> None:
    assert head["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in head["Content-Security-Policy"]
    assert len(head.get_all("Content-Security-Policy", [])) == 1
    assert head["X-Request-ID"]
    assert "gunicorn" not in str(head).lower()
    assert head.get("Server", "nodestack") == "nodestack"


def test_with_a_key_it_answers(service: Service) -> None:
    for headers in ({"X_API_Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
        status, head, text = ask(service, "/predict", IMAGE, **headers)
        assert status == 200, text
        assert head["Cache-Control"] == "no-store"
        check_head(head)


def test_without_one_it_does_not(service: Service) -> None:
    status, head, text = ask(service, "/predict", IMAGE, Authorization="Bearer the-wrong-key")
    assert status == 401
    assert head["WWW-Authenticate"] == "Bearer"
    assert json.loads(text)["status"] == 401
    assert "path=/predict status=401" in service.log.read_text()
    check_head(head)


def test_what_needs_a_key_does_not_hide_the_answer_from_who_sends_much(service: Service) -> None:
    body = b" " * 10 * MAX_BODY_BYTES
    head = f"POST /predict HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    assert exchange(service, head.encode() + body).startswith(b"HTTP/1.0 401 Unauthorized\r\n")


def test_who_wants_the_head_alone_gets_no_more(service: Service) -> None:
    answer = exchange(service, b"HEAD /models HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 401 Unauthorized\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert "sent body bytes" not in service.log.read_text()


def test_who_asks_too_often_waits_and_others_do_not(service: Service) -> None:
    greedy = [ask(service, "/models", X_API_Key="the-greedy-key") for _ in range(51)]
    assert [status for status, _, _ in greedy] == [200] * 50 + [429]
    _, head, text = greedy[-1]
    assert int(head["Retry-After"]) >= 1
    assert "at most 50/hour" in json.loads(text)["detail"]
    check_head(head)
    assert ask(service, "/metrics", X_API_Key="the-greedy-key")[0] == 200
    assert ask(service, "/models", X_API_Key=KEY)[0] == 200


def test_health_needs_no_key_and_has_no_limit(service: Service) -> None:
    assert {ask(service, "/health")[0] for _ in range(60)} == {200}


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/", "text/html"),
        ("/", "application/json"),
        ("/docs", "*/*"),
        ("/page/draw.js", "*/*"),
        ("/openapi.json", "*/*"),
        ("/metrics", "*/*"),
        ("/nowhere", "*/*"),
        ("/v2/nowhere", "*/*"),
    ],
)
def test_every_answer_has_a_safe_head(service: Service, path: str, accept: str) -> None:
    check_head(ask(service, path, X_API_Key=KEY, Accept=accept)[1])


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 10_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: zip\r\n\r\n", 400),
    ],
    ids=["no request", "version", "header", "length", "too long", "encoding"],
)
def test_what_is_no_http_is_answered_as_every_other_error(
    service: Service, request_bytes: bytes, status: int
) -> None:
    head, _, body = exchange(service, request_bytes).partition(b"\r\n\r\n")
    first, _, fields = head.partition(b"\r\n")
    assert first.startswith(f"HTTP/1.1 {status} ".encode())
    message = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
    check_head(message)
    assert message["Content-Type"] == "application/problem+json"
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["request_id"] == message["X-Request-ID"]


def test_the_log_tells_no_key(service: Service) -> None:
    ask(service, "/models", X_API_Key=KEY)
    log = service.log.read_text()
    assert "path=/models" in log
    assert not any(key in log for key in (KEY, "the-greedy-key", "the-wrong-key"))
