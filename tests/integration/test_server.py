"""The service as it runs: gunicorn with its configuration file, over a socket."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gevent import socket as gevent_socket
from gevent.pool import Pool

from nncore import PublishedModel, scale_pixels
from service.worker import Worker
from tests.service.conftest import publish
from tests.service.server import (
    DEADLINE_SECONDS,
    JSON,
    MAX_BODY_BYTES,
    ROOT,
    Service,
    running,
    wait_until,
)

LEVELS = np.random.default_rng(0).integers(0, 256, (8, 28, 28))


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


def read_answer(client: socket.socket) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer.status, answer.read()


def test_it_starts_quietly(service: Service) -> None:
    assert service.ask("/health") == (200, {"status": "ready", "model": "mnist", "version": 1})
    log = service.log.read_text()
    assert "ready: mnist 1" in log
    assert "WARNING" not in log
    assert "ERROR" not in log
    assert "control" not in log


def test_one_connection_serves_many_requests(service: Service, published: PublishedModel) -> None:
    connection = service.connect()
    with_the_first_socket = None
    for image in LEVELS:
        connection.request("POST", "/predict", json.dumps({"pixels": image.tolist()}), JSON)
        with_the_first_socket = with_the_first_socket or connection.sock
        assert connection.sock is with_the_first_socket
        answer = json.loads(connection.getresponse().read())
        expected = published.model.predict(scale_pixels(image[None]))[:, 0]
        np.testing.assert_allclose(
            answer["predictions"][0]["probabilities"], expected, atol=1e-6, rtol=0
        )
    connection.close()


def test_every_client_gets_its_own_answer(service: Service, published: PublishedModel) -> None:
    expected = published.model.predict(scale_pixels(LEVELS)).T

    def ask_repeatedly(client: int) -> bool:
        for batch in (1, 40) * 5:
            pixels = np.repeat(LEVELS[client : client + 1], batch, axis=0)
            status, answer = service.ask("/predict", {"pixels": pixels.tolist()})
            got = np.array([p["probabilities"] for p in answer["predictions"]])
            if status != 200 or not np.allclose(got, expected[client], rtol=0, atol=1e-6):
                return False
        return True

    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(ask_repeatedly, range(8)))


@pytest.mark.parametrize(
    "headers", ["Content-Length: {}", "Content-Length: {}\r\nConnection: close"]
)
@pytest.mark.parametrize("times", [1, 20])
def test_a_client_that_sends_far_too_much_reads_why_not(
    service: Service, headers: str, times: int
) -> None:
    body = b"[" + b" " * times * MAX_BODY_BYTES
    with service.open_socket() as client:
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}{headers}\r\n\r\n".format(len(body)).encode())
        client.sendall(body)
        status, answer = read_answer(client)
    assert status == 413
    assert f"at most {MAX_BODY_BYTES} bytes, got {len(body)}" in json.loads(answer)["detail"]


def test_a_chunked_body_has_the_same_limit(service: Service) -> None:
    connection = service.connect()
    pieces = (b" " * 2**16 for _ in range(10 * MAX_BODY_BYTES // 2**16))
    connection.request("POST", "/predict", pieces, JSON)
    answer = connection.getresponse()
    assert answer.status == 413
    assert "got more" in json.loads(answer.read())["detail"]
    connection.request("GET", "/health")
    assert connection.getresponse().read()
    connection.close()


def test_a_body_that_nobody_wants_does_not_hide_the_answer(service: Service) -> None:
    body = b" " * 10 * MAX_BODY_BYTES
    with service.open_socket() as client:
        head = f"POST /nowhere HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert read_answer(client)[0] == 404


def test_chunks_that_are_none_are_a_clients_error(service: Service) -> None:
    with service.open_socket() as client:
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
        status, answer = read_answer(client)
    assert status == 400
    assert "breaks off" in json.loads(answer)["detail"]


@pytest.mark.parametrize("path", ["/predict", "/health"])
@pytest.mark.parametrize("chunks", ["zz\r\n", "1\r\nab", "0\r\nno trailer\r\n\r\n", "f" * 2**17])
def test_what_follows_chunks_that_are_none_is_no_request(
    service: Service, path: str, chunks: str
) -> None:
    method = "GET" if path == "/health" else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    hidden = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    filling = "X" * 2**14  # more than the server reads at once
    with service.open_socket() as client:
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{chunks}".encode())
        with suppress(ConnectionError):
            client.sendall(f"{filling}\r\n{hidden}".encode())
        status, _ = read_answer(client)
        assert status == (200 if path == "/health" else 400)
        with suppress(ConnectionError):
            assert client.recv(1) == b""
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "Invalid request" not in log


def test_an_unknown_transfer_coding_is_a_clients_error(service: Service) -> None:
    with service.open_socket() as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n")
        status, answer = read_answer(client)
    assert status == 400
    assert "TRANSFER-ENCODING" in json.loads(answer)["detail"]


def test_a_client_that_sends_no_http_reads_why_not(service: Service) -> None:
    with service.open_socket() as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n" + bytes(2**24))
        status, answer = read_answer(client)
    assert status == 400
    assert "no header" in json.loads(answer)["detail"]


def test_the_health_check_of_the_container(service: Service) -> None:
    def check(port: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "service.healthcheck"],
            cwd=ROOT,
            env={**os.environ, "PORT": port},
            capture_output=True,
            text=True,
        )

    assert check(str(service.port)).returncode == 0
    for port, words in (("1", "no answer from port 1"), ("x", "PORT: expected an integer")):
        result = check(port)
        assert result.returncode == 1
        assert words in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_setting_that_is_no_good_is_one_line() -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            "service/gunicorn_conf.py",
            "service:create_app()",
        ],
        cwd=ROOT,
        env={**os.environ, "PORT": "http"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr == "PORT: expected an integer from 1 to 65535, got 'http'\n"


def test_without_a_model_it_lives_and_says_what_to_run(tmp_path: Path) -> None:
    with running(tmp_path / "none", tmp_path / "log", {"WEB_CONCURRENCY": "1"}) as service:
        status, answer = service.ask("/health/ready")
        assert status == 503
        assert "make train" in answer["detail"]
        assert service.ask("/predict", {"pixels": LEVELS[0].tolist()})[0] == 503
        assert "make train" in service.log.read_text()


def test_the_life_of_one_worker(tmp_path: Path) -> None:
    """It answers while it computes, stands slow clients, reloads, and ends what it began."""
    first = publish(tmp_path / "models")
    with running(tmp_path / "models", tmp_path / "log", {"WEB_CONCURRENCY": "1"}) as service:
        check_that_health_is_answered_under_load(service)
        check_that_slow_clients_hold_up_nobody(service)
        check_that_an_eager_client_takes_its_turn(service)
        check_that_tiny_chunks_hold_up_nobody(service)

        second = publish(tmp_path / "models", seed=1)
        assert second.manifest.version == first.manifest.version + 1
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Worker exiting" in service.log.read_text(), "the old worker's end")
        assert service.ask("/health")[1]["version"] == 2

        check_that_it_ends_what_it_began(service, second)
        assert service.process.wait(DEADLINE_SECONDS) == 0


def check_that_health_is_answered_under_load(service: Service) -> None:
    busy = json.dumps({"pixels": np.repeat(LEVELS, 25, axis=0).tolist()})
    done = False

    def load() -> int:
        connection = service.connect()
        answered = 0
        while not done:
            connection.request("POST", "/predict", busy, JSON)
            assert connection.getresponse().read()
            answered += 1
        connection.close()
        return answered

    with ThreadPoolExecutor(4) as clients:
        loads = [clients.submit(load) for _ in range(4)]
        try:
            times = []
            for _ in range(20):
                start = time.monotonic()
                assert service.ask("/health")[0] == 200
                times.append(time.monotonic() - start)
        finally:
            done = True
        assert all(answered.result() for answered in loads)
    assert sorted(times)[10] < 0.5


def check_that_slow_clients_hold_up_nobody(service: Service) -> None:
    slow_clients = [service.open_socket() for _ in range(50)]
    for client in slow_clients:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"pixels"'
        )
    assert service.ask("/predict", {"pixels": LEVELS[0].tolist()})[0] == 200
    for client in slow_clients:
        client.close()


def check_that_an_eager_client_takes_its_turn(service: Service) -> None:
    requests = 3000
    with service.open_socket() as eager:
        eager.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
        assert service.ask("/health")[0] == 200
        answers = eager.recv(2**22, socket.MSG_DONTWAIT)
    assert answers.count(b"alive") < requests / 10


def check_that_tiny_chunks_hold_up_nobody(service: Service) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with service.open_socket() as client:
        client.sendall(head + b"1\r\nx\r\n" * 2**17 + b"0\r\n\r\n")
        assert service.ask("/health")[0] == 200
        assert not select.select([client], [], [], 0)[0]  # it is not answered yet
        assert read_answer(client)[0] == 415


def check_that_it_ends_what_it_began(service: Service, published: PublishedModel) -> None:
    body = json.dumps({"pixels": LEVELS[0].tolist()}).encode()
    with service.open_socket() as client:
        head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(b"POST /predict HTTP/1.1\r\n" + head.encode() + body[:1000])
        # The one worker accepts in order: once this is answered, it has the request before.
        assert service.ask("/health")[0] == 200
        service.process.terminate()
        wait_until(service.refuses_connections, "the end of listening")
        client.sendall(body[1000:])
        status, answer = read_answer(client)
    assert status == 200
    expected = published.model.predict(scale_pixels(LEVELS[:1]))[:, 0]
    got = json.loads(answer)["predictions"][0]["probabilities"]
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)


def test_who_has_been_let_in_is_served_though_the_listener_closes() -> None:
    listener = gevent_socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    address = listener.getsockname()
    served = []

    def handle(listener: Any, *_: object) -> None:
        served.append(listener.getsockname())

    connections = Pool(8)
    server_class: Any = Worker.server_class
    server = server_class(SimpleNamespace(handle=handle), listener, spawn=connections)
    server.start()
    clients = [socket.create_connection(address) for _ in range(3)]
    server.close()  # before the event loop has seen them
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    connections.join()
    assert served == [address] * len(clients)
    for client in clients:
        client.close()
