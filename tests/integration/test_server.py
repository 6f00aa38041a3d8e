"""The service as it runs: gunicorn with its configuration file, over a socket."""

import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncore import scale_pixels
from nncore.repository import PublishedModel
from tests.support.models import publish
from tests.support.processes import peak_megabytes
from tests.support.server import (
    COMMAND,
    DEADLINE_SECONDS,
    JSON,
    MAX_BODY_BYTES,
    ROOT,
    Service,
    launched,
    running,
    wait_until,
)

LEVELS = np.random.default_rng(0).integers(0, 256, (1, 28, 28))
BODY = json.dumps({"pixels": LEVELS.tolist()}).encode()
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def published(model_dir: Path) -> PublishedModel:
    return publish(model_dir)


@pytest.fixture(scope="module")
def service(model_dir: Path, published: PublishedModel, tmp_path_factory: Any) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("log") / "log"
    with running(model_dir, log, {"WEB_CONCURRENCY": "2"}) as service:
        yield service


def read_response(client: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(client)
    response.begin()
    return response.status, response.read()


def check_answer(document: dict[str, Any], published: PublishedModel, images: Any) -> None:
    expected = published.model.predict(scale_pixels(np.asarray(images))).T
    got = [prediction["probabilities"] for prediction in document["predictions"]]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_it_starts_without_warnings(service: Service) -> None:
    assert service.ask("/health") == (200, {"status": "ready", "model": "mnist", "version": 1})
    log = service.log.read_text()
    assert "ready: model mnist version 1" in log
    assert not any(word in log for word in ("WARNING", "ERROR", "Traceback"))


def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    head = POST + b"Content-Length: %d\r\n\r\n" % len(BODY)
    with service.open_socket() as client:
        client.sendall((head + BODY + HEALTH) * 3)
        received = b""
        while received.count(b"alive") < 3:
            received += client.recv(2**16)
    assert re.findall(rb"predictions|alive", received) == [b"predictions", b"alive"] * 3


@pytest.mark.parametrize(
    "path", ["/predict", "/v2/models/mnist/infer", "/v1/models/mnist:predict", "/invocations"]
)
def test_every_route_decodes_gzip_up_to_the_limit(service: Service, path: str) -> None:
    """Regression: only one protocol did, and it checked the compressed size."""
    headers = {**JSON, "Content-Encoding": "gzip"}
    for size, status in ((MAX_BODY_BYTES, 400), (MAX_BODY_BYTES + 1, 413)):
        assert service.send(path, gzip.compress(b" " * size), headers)[0] == status


@pytest.mark.parametrize("length", ["Content-Length: 268435456", "Transfer-Encoding: chunked"])
def test_an_error_is_answered_before_a_huge_body_is_sent(service: Service, length: str) -> None:
    """Regression: up to 256 MiB of a body was read before the error."""
    chunk = b"%x\r\n" % MAX_BODY_BYTES + b" " * MAX_BODY_BYTES + b"\r\n"
    with service.open_socket() as client:
        client.sendall(POST + length.encode() + b"\r\n\r\n")
        sent = 0
        with suppress(ConnectionError):
            # A 413 for a length is answered at once; of chunks, it takes the limit to know.
            while sent < 2 * len(chunk):
                client.sendall(chunk)
                sent += len(chunk)
        assert read_response(client)[0] == 413
        # The connection is closed, and nothing more of the body is read.
        with suppress(ConnectionError):
            for _ in range(64):
                client.sendall(chunk)
            pytest.fail("expected the connection to be closed after the error")


def test_a_rejected_body_is_never_parsed_as_a_request(service: Service) -> None:
    """Regression: what was left of a discarded body was read as the next request."""
    smuggled = b"GET /health/ready?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    filling = b" " * (2 * MAX_BODY_BYTES)
    with service.open_socket() as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % (len(filling) + len(smuggled)))
        assert read_response(client)[0] == 413
        with suppress(ConnectionError):
            client.sendall(filling + smuggled)
        with suppress(ConnectionError):
            assert client.recv(2**16) == b""
    assert "smuggled" not in service.log.read_text()


def test_a_connection_is_closed_if_a_rejected_body_does_not_arrive(service: Service) -> None:
    """Regression: after 60 s, the next request on the connection lost its first bytes."""
    with service.open_socket() as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\nbegin" % (2 * MAX_BODY_BYTES))
        assert read_response(client)[0] == 413
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEALTH, 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + HEALTH, 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: zip\r\n\r\n", 501),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 10_000 + b"\r\n\r\n", 431),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value[-20:]),
)
def test_malformed_http_gets_an_error_and_ends_the_connection(
    service: Service, request_bytes: bytes, status: int
) -> None:
    with service.open_socket() as client:
        client.sendall(request_bytes)
        assert read_response(client)[0] == status
        with suppress(ConnectionError):
            assert client.recv(2**16) == b""
    assert "Traceback" not in service.log.read_text()


def test_header_fields_of_eight_kilobytes_are_accepted(service: Service) -> None:
    with service.open_socket() as client:
        client.sendall(HEALTH[:-2] + b"Authorization: Bearer %s\r\n\r\n" % (b"x" * 8000))
        assert read_response(client)[0] == 200


def test_a_head_of_fifty_megabytes_takes_no_memory(service: Service) -> None:
    before = max(map(peak_megabytes, service.workers))
    for piece in (b"x" * 2**20, b"x: y\r\n" * 2**17):
        with service.open_socket() as client, suppress(ConnectionError):
            client.sendall(b"GET / HTTP/1.1\r\nx: ")
            for _ in range(50):
                client.sendall(piece)
    assert max(map(peak_megabytes, service.workers)) < before + 10


@pytest.mark.slow
def test_an_idle_connection_is_closed(service: Service) -> None:
    with service.open_socket() as client:
        client.sendall(HEALTH)
        assert read_response(client)[0] == 200
        assert client.recv(1) == b""  # after gunicorn's `keepalive`


def run_module(name: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **variables}
    command = [sys.executable, "-m", name]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@contextmanager
def healthy(model_dir: Path, log: Path, **settings: str) -> Iterator[Service]:
    """Run the service, once the health check succeeds."""
    variables = {"MODEL_DIR": str(model_dir), "WEB_CONCURRENCY": "1", **settings}
    with launched(COMMAND, log, {"PORT": "{port}", **variables}) as service:
        variables["PORT"] = str(service.port)
        check = partial(run_module, "service.healthcheck", variables)
        wait_until(lambda: check().returncode == 0, "the health check succeeds")
        yield service


@pytest.mark.parametrize("host", ["::1", "::"])
def test_the_service_and_its_health_check_take_any_host(
    model_dir: Path, published: PublishedModel, tmp_path: Path, host: str
) -> None:
    """Regression: the service failed, and the check asked 127.0.0.1."""
    try:
        with socket.socket(socket.AF_INET6) as free:
            free.bind((host, 0))
    except OSError as error:
        pytest.skip(f"cannot listen on {host} here: {error}")
    with healthy(model_dir, tmp_path / "log", HOST=host):
        pass


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here to make a certificate")
def test_tls(model_dir: Path, published: PublishedModel, tmp_path: Path) -> None:
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-out", cert, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    files = {"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key}
    with healthy(model_dir, tmp_path / "log", **files) as service:
        context = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("localhost", service.port, context=context)
        connection.request("POST", "/predict", BODY, JSON)
        check_answer(json.loads(connection.getresponse().read()), published, LEVELS)
        connection.close()


@pytest.mark.parametrize("module", ["service", "service.healthcheck"])
def test_an_invalid_setting_is_reported_in_one_line(module: str) -> None:
    result = run_module(module, {"PORT": "http"})
    assert result.returncode == 1
    assert result.stderr == "PORT: expected an integer from 1 to 65535, got 'http'\n"


def test_overload_is_rejected_after_wrong_keys_and_abandoned_requests_block_no_other(
    model_dir: Path, published: PublishedModel, tmp_path: Path
) -> None:
    """Regression: keys were checked after load; a cancelled request kept the lock."""
    settings = {"WEB_CONCURRENCY": "1", "MAX_QUEUE_SECONDS": "0", "API_KEYS": "key"}
    with running(model_dir, tmp_path / "log", settings) as service:
        requests = [
            POST + b"X-API-Key: %s\r\nContent-Length: %d\r\n\r\n" % (key, len(BODY)) + BODY
            for key in (b"key", b"wrong")
        ]
        clients = [service.open_socket() for _ in range(40)]
        for client in clients:
            client.sendall(requests[0])
            assert read_response(client)[0] == 200
        (worker,) = service.workers
        os.kill(worker, signal.SIGSTOP)  # so that all of them arrive together
        for number, client in enumerate(clients):
            client.sendall(requests[number % 2])
        for client in clients[:10]:
            client.close()
        os.kill(worker, signal.SIGCONT)
        answers = [read_response(client) for client in clients[10:]]
        assert {status for status, _ in answers[1::2]} == {401}
        assert {status for status, _ in answers[::2]} in ({503}, {200, 503})
        clients[10].sendall(requests[0])
        assert read_response(clients[10])[0] == 200
        for client in clients:
            client.close()


def test_open_requests_are_finished_at_shutdown(
    model_dir: Path, published: PublishedModel, tmp_path: Path
) -> None:
    with running(model_dir, tmp_path / "log", {"WEB_CONCURRENCY": "1"}) as service:
        with service.open_socket() as client:
            client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:1000])
            # The one worker accepts in order: once this is answered, it has the request before.
            assert service.ask("/health")[0] == 200
            service.process.terminate()
            wait_until(service.refuses_connections, "no more connections are accepted")
            client.sendall(BODY[1000:])
            status, body = read_response(client)
        assert status == 200
        check_answer(json.loads(body), published, LEVELS)
        assert service.process.wait(DEADLINE_SECONDS) == 0


@pytest.mark.slow
def test_the_memory_of_a_worker_and_its_backlog_hold_many_clients(
    model_dir: Path, published: PublishedModel, tmp_path: Path
) -> None:
    """Regression: 16 MiB of zeros took 400 MB; asyncio's backlog of 100 let clients wait."""
    bodies = [
        b'{"pixels": [' + b"0," * (2**23 - 16) + b"0]}",
        b"[" * 2**24,
        b'{"pixels": "' + b"x" * (2**24 - 16) + b'"}',
        b'{"a":' * (2**24 // 5),
    ]
    settings = {"WEB_CONCURRENCY": "1", "MAX_BODY_BYTES": str(2**24), "LOG_LEVEL": "warning"}
    with running(model_dir, tmp_path / "log", settings) as service:
        (worker,) = service.workers

        def send(body: bytes) -> int:
            with suppress(ConnectionError):
                return service.send("/predict", body)[0]
            return 0

        with ThreadPoolExecutor(8) as clients:
            statuses = set(clients.map(send, bodies * 2))
        assert statuses <= {0, 400, 413, 422, 503}
        assert statuses & {400, 422}
        assert peak_megabytes(worker) < 200

        os.kill(worker, signal.SIGSTOP)
        address = ("127.0.0.1", service.port)
        waiting = [socket.create_connection(address, timeout=0.9) for _ in range(300)]
        os.kill(worker, signal.SIGCONT)
        assert service.ask("/health")[0] == 200
        for client in waiting:
            client.close()
