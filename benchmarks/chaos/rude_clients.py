"""Clients send requests as they should, while others are slow, vanish, pipeline or idle."""

import http.client
import resource
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

from benchmarks.chaos.outcome import Outcome, percentile
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import Load, Reply, Request
from benchmarks.serving.protocols import Body
from benchmarks.serving.server import Server, serve, wait_until
from tests.support.processes import open_files, repeating

# Takes the port, requests, and a list for what is wrong with responses.
_Harm = Callable[[int, Sequence[Request], list[str]], AbstractContextManager[None]]
_CONNECTIONS = 16
_LOAD = 0.4
_MAX_SLOWDOWN = 2.0
_OPEN_FILES = 4096
_PAUSE_SECONDS, _WINDOW_SECONDS = 0.4, 0.5
_TIMEOUT_SECONDS = 20
_SLOW = 200
_IDLE, _OPENED_AT_ONCE = 1000, 20
_PIPELINES, _PIPELINED = 4, 50
_HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_LARGE = Request(
    "/predict?include=pixels",
    Body(bytes(range(256)) * (64 * 784 // 256), {"Content-Type": "application/octet-stream"}),
)
_RESET = struct.pack("ii", 1, 0)  # close with a reset instead of an orderly end


def run(full: bool, folder: Path) -> Outcome:
    """Do each harm four times or, for CI, once."""
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    faults: list[str] = []
    windows: dict[str, list[tuple[float, float]]] = {name: [] for name in _HARMS}
    with _open_files_allowed(_OPEN_FILES), serve(folder, folder / "models") as server:
        Load(server.port, [truth.request], _CONNECTIONS).run(1)
        capacity = len(Load(server.port, [truth.request], _CONNECTIONS).run(1).replies)
        with Load(server.port, [truth.request], _CONNECTIONS, _LOAD * capacity) as load:
            time.sleep(1)
            files = _files(server)
            for _ in range(4 if full else 1):
                for name, harm in _HARMS.items():
                    before = time.monotonic()
                    time.sleep(_WINDOW_SECONDS)
                    with harm(server.port, truth.requests, faults):
                        time.sleep(_PAUSE_SECONDS)
                        windows[name].append((before, time.monotonic()))
                        time.sleep(_WINDOW_SECONDS)
                    time.sleep(_PAUSE_SECONDS)
        wait_until(lambda: _files(server) <= files, "the end of all connections")
        outcome.expect_sound(server)
    outcome.expect(not faults, f"{len(faults)} wrong pipelined responses: {faults[:1]}")
    outcome.expect_good(load.replies)
    for name, pairs in windows.items():
        p99 = [[_p99(load.replies, start) for start in pair] for pair in pairs]
        slowdown = median(during / before for before, during in p99)
        outcome.figures[f"{name}: p99 of others, times that before"] = f"{slowdown:.1f}"
        outcome.expect(
            not full or slowdown <= _MAX_SLOWDOWN, f"{name}: p99 of others x {slowdown:.1f}"
        )
    return outcome


def _p99(replies: list[Reply], start: float) -> float:
    end = start + _WINDOW_SECONDS
    return percentile([reply.seconds for reply in replies if start <= reply.due < end], 99)


def _files(server: Server) -> int:
    return sum(map(open_files, server.workers))


@contextmanager
def _open_files_allowed(number: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(before[0], min(number, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _slowly(beginning: bytes) -> _Harm:
    """Send a beginning on many connections, and then one byte per second on each."""

    @contextmanager
    def harm(port: int, _: Sequence[Request], __: list[str]) -> Iterator[None]:
        def begin() -> socket.socket:
            client = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
            client.sendall(beginning)
            return client

        clients = deque(begin() for _ in range(_SLOW))

        def send_byte() -> None:
            client = clients.popleft()
            try:
                client.sendall(b"a")
            except OSError:  # the server has closed it
                client.close()
                client = begin()
            clients.append(client)

        try:
            with repeating(send_byte, 1 / _SLOW):
                yield
        finally:
            for client in clients:
                client.close()

    return harm


@contextmanager
def _vanish_mid_request(port: int, requests: Sequence[Request], _: list[str]) -> Iterator[None]:
    """Close connections, every other one with a reset, within a body, 50 per second."""
    resets, turns = cycle((True, False)), cycle(requests)

    def vanish() -> None:
        data = next(turns).encode()
        with _connection(port, reset=next(resets)) as client:
            client.sendall(data[: len(data) * 2 // 3])

    with repeating(vanish, 1 / 50):
        yield


@contextmanager
def _vanish_mid_response(port: int, _: Sequence[Request], __: list[str]) -> Iterator[None]:
    """Close connections when a large response begins to arrive, 5 per second."""
    resets = cycle((True, False))

    def vanish() -> None:
        with _connection(port, reset=next(resets)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(_LARGE.encode())
            client.recv(1)

    with repeating(vanish, 1 / 5):
        yield


@contextmanager
def _pipeline(port: int, requests: Sequence[Request], faults: list[str]) -> Iterator[None]:
    """Send 50 requests at once on each of four connections, every second."""
    turns = [requests[number % len(requests)] for number in range(_PIPELINED)]
    data = b"".join(turn.encode({"X-Request-ID": f"{n}"}) for n, turn in enumerate(turns))
    with ExitStack() as stack:
        clients = [stack.enter_context(_connection(port)) for _ in range(_PIPELINES)]
        streams = [client.makefile("rb") for client in clients]

        def send_all() -> None:
            for client in clients:
                client.sendall(data)
            for stream in streams:
                for number, request in enumerate(turns):
                    status = int(stream.readline().split()[1])
                    pairs = http.client.parse_headers(stream).items()
                    headers = {name.lower(): value for name, value in pairs}
                    body = stream.read(int(headers["content-length"]))
                    if status != 200 or headers["x-request-id"] != str(number):
                        faults.append(f"request {number}: {status} {headers['x-request-id']}")
                    elif fault := request.check(headers, body):
                        faults.append(fault)

        with repeating(send_all, 1):
            yield


@contextmanager
def _idle(port: int, _: Sequence[Request], __: list[str]) -> Iterator[None]:
    """Keep a thousand connections open, each of which has carried one request."""
    with ExitStack() as stack:
        for _batch in range(_IDLE // _OPENED_AT_ONCE):
            clients = [stack.enter_context(_connection(port)) for _ in range(_OPENED_AT_ONCE)]
            for client in clients:
                client.sendall(Request("/health/live").encode())
            for client in clients:
                client.recv(2**16)
        yield


@contextmanager
def _connection(port: int, *, reset: bool = False) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as client:
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        yield client


_HARMS: dict[str, _Harm] = {
    "slow heads on 200 connections": _slowly(_HEAD + b"X-Slow: "),
    "slow bodies on 200 connections": _slowly(_HEAD + b"Content-Length: 100000\r\n\r\n"),
    "clients that vanish within a request": _vanish_mid_request,
    "clients that vanish within a response": _vanish_mid_response,
    "50 requests pipelined on 4 connections": _pipeline,
    "1,000 idle connections": _idle,
}
