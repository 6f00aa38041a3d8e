"""Clients send requests at a fixed rate while others are slow, disappear, pipeline or idle."""

import http.client
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

import pytest

from tests.stress.conftest import Record
from tests.stress.versions import Versions, check_replies, check_workers, p99
from tests.support.load import Load, Request
from tests.support.processes import open_files, repeating
from tests.support.server import Service, serve, wait_until

pytestmark = pytest.mark.stress

# Behaves badly, on a service with these versions, while the block runs.
Behaviour = Callable[[Service, Versions], AbstractContextManager[None]]
CONNECTIONS = 16
LOAD = 0.4
MAX_SLOWDOWN = 2.0
PAUSE_SECONDS, WINDOW_SECONDS = 0.4, 0.5
SLOW = 200
IDLE, OPENED_AT_ONCE = 1000, 20
PIPELINES, PIPELINED = 4, 50
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LARGE = Request(
    "/predict?include=pixels",
    bytes(range(256)) * (64 * 784 // 256),
    {"Content-Type": "application/octet-stream"},
)
RESET = struct.pack("ii", 1, 0)  # close with a reset instead of an orderly end


def slowly(beginning: bytes) -> Behaviour:
    """Send a beginning on 200 connections, and then one byte per second on each."""

    @contextmanager
    def behave(service: Service, _: Versions) -> Iterator[None]:
        def begin() -> socket.socket:
            client = service.open_socket()
            client.sendall(beginning)
            return client

        clients = deque(begin() for _ in range(SLOW))

        def send_byte() -> None:
            client = clients.popleft()
            try:
                client.sendall(b"a")
            except OSError:  # the server has closed it
                client.close()
                client = begin()
            clients.append(client)

        try:
            with repeating(send_byte, 1 / SLOW):
                yield
        finally:
            for client in clients:
                client.close()

    return behave


@contextmanager
def disappear_within_requests(service: Service, versions: Versions) -> Iterator[None]:
    """Close connections, every other one with a reset, within a body, 50 per second."""
    resets, requests = cycle((True, False)), cycle(versions.requests)

    def disappear() -> None:
        data = next(requests).encode()
        with connection(service, reset=next(resets)) as client:
            client.sendall(data[: len(data) * 2 // 3])

    with repeating(disappear, 1 / 50):
        yield


@contextmanager
def disappear_within_responses(service: Service, _: Versions) -> Iterator[None]:
    """Close connections when a large response begins to arrive, 5 per second."""
    resets = cycle((True, False))

    def disappear() -> None:
        with connection(service, reset=next(resets)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(LARGE.encode())
            client.recv(1)

    with repeating(disappear, 1 / 5):
        yield


@contextmanager
def pipeline(service: Service, versions: Versions) -> Iterator[None]:
    """Send 50 requests at once on each of four connections, every second; check the responses."""
    requests = [versions.requests[n % len(versions.requests)] for n in range(PIPELINED)]
    data = b"".join(request.encode(X_Request_ID=f"{n}") for n, request in enumerate(requests))
    faults: list[str] = []
    with ExitStack() as stack:
        clients = [stack.enter_context(connection(service)) for _ in range(PIPELINES)]
        streams = [client.makefile("rb") for client in clients]

        def send_all() -> None:
            for client in clients:
                client.sendall(data)
            for stream in streams:
                for number, request in enumerate(requests):
                    status = int(stream.readline().split()[1])
                    pairs = http.client.parse_headers(stream).items()
                    headers = {name.lower(): value for name, value in pairs}
                    body = stream.read(int(headers["content-length"]))
                    if (status, headers["x-request-id"]) != (200, str(number)):
                        faults.append(f"request {number}: {status} {headers['x-request-id']}")
                    elif fault := request.check(headers, body):
                        faults.append(fault)

        with repeating(send_all, 1):
            yield
    assert faults == []


@contextmanager
def idle(service: Service, _: Versions) -> Iterator[None]:
    """Keep a thousand connections open, each of which has carried one request."""
    with ExitStack() as stack:
        for _batch in range(IDLE // OPENED_AT_ONCE):
            clients = [stack.enter_context(connection(service)) for _ in range(OPENED_AT_ONCE)]
            for client in clients:
                client.sendall(Request("/health/live").encode())
            for client in clients:
                client.recv(2**16)
        yield


@contextmanager
def connection(service: Service, *, reset: bool = False) -> Iterator[socket.socket]:
    with service.open_socket() as client:
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        yield client


BEHAVIOURS: dict[str, Behaviour] = {
    "slow heads on 200 connections": slowly(HEAD + b"X-Slow: "),
    "slow bodies on 200 connections": slowly(HEAD + b"Content-Length: 100000\r\n\r\n"),
    "clients that disappear within a request": disappear_within_requests,
    "clients that disappear within a response": disappear_within_responses,
    "50 requests pipelined on 4 connections": pipeline,
    "1,000 idle connections": idle,
}


def test_slow_clients(tmp_path: Path, versions: Versions, record: Record, long: bool) -> None:
    """Other clients get right responses, and in the long form the p99 at most doubles."""
    windows: dict[str, list[tuple[float, float]]] = {name: [] for name in BEHAVIOURS}
    with serve(tmp_path, versions.models) as service:

        def files() -> int:
            return sum(map(open_files, service.workers))

        Load(service.port, [versions.request], CONNECTIONS).run(1)
        capacity = len(Load(service.port, [versions.request], CONNECTIONS).run(1).replies)
        with Load(service.port, [versions.request], CONNECTIONS, LOAD * capacity) as load:
            time.sleep(1)
            files_before = files()
            for _ in range(4 if long else 1):
                for name, behave in BEHAVIOURS.items():
                    before = time.monotonic()
                    time.sleep(WINDOW_SECONDS)
                    with behave(service, versions):
                        time.sleep(PAUSE_SECONDS)
                        windows[name].append((before, time.monotonic()))
                        time.sleep(WINDOW_SECONDS)
                    time.sleep(PAUSE_SECONDS)
            # A few files are opened at the first use.
            wait_until(lambda: files() <= files_before + 2, "all connections are closed")
        record("peak memory of a worker", check_workers(service))
    check_replies(load.replies)
    for name, pairs in windows.items():
        times = [[p99(load.replies, start, WINDOW_SECONDS) for start in pair] for pair in pairs]
        slowdown = median(during / before for before, during in times)
        record(f"{name}: p99 of others, times that before", f"{slowdown:.1f}")
        assert not long or slowdown <= MAX_SLOWDOWN, name
