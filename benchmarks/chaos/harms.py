"""What slow and rude clients do to a service, each a context manager: it lasts as long as a block.

Each takes the service's port and questions, and a list for what is wrong with the answers that it
waits for.
"""

import http.client
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import cycle
from typing import BinaryIO

from benchmarks.chaos.clients import Question
from benchmarks.chaos.wire import write_request
from benchmarks.repeating import repeating

Harm = Callable[[int, Sequence[Question], list[str]], AbstractContextManager[None]]

_SLOW = 200
_SLOW_HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: "
_SLOW_BODY = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
)
_IDLE = 1000
_OPENED_AT_ONCE = 20
_VANISHING_A_SECOND = 50
_BIG_ANSWERS_A_SECOND = 5
# 64 images, and the pixels of each are told.
_BIG_QUESTION = Question(
    "/predict?include=pixels",
    bytes(range(256)) * (64 * 784 // 256),
    {"Content-Type": "application/octet-stream"},
    lambda _, __: None,
)
_PIPELINES = 4
_PIPELINED = 50
_TIMEOUT_SECONDS = 20
_RESET = struct.pack("ii", 1, 0)  # linger, for no time
_SMALL_BUFFER_BYTES = 4096


@contextmanager
def slow_heads(port: int, _: Sequence[Question], __: list[str]) -> Iterator[None]:
    """Send heads that never end, over 200 connections, on each a byte a second."""
    with _dripping(port, _SLOW_HEAD):
        yield


@contextmanager
def slow_bodies(port: int, _: Sequence[Question], __: list[str]) -> Iterator[None]:
    """Send bodies in the same way."""
    with _dripping(port, _SLOW_BODY):
        yield


@contextmanager
def vanishing_mid_body(port: int, questions: Sequence[Question], _: list[str]) -> Iterator[None]:
    """Reset connections, or close them, when half of a body is sent, fifty times a second."""
    resets = cycle((True, False))
    asked = cycle(questions)

    def vanish() -> None:
        question = next(asked)
        half = len(question.content or b"") // 2
        with _connection(port, reset=next(resets)) as client:
            client.sendall(write_request(question)[:-half])

    with repeating(vanish, 1 / _VANISHING_A_SECOND):
        yield


@contextmanager
def vanishing_mid_answer(port: int, _: Sequence[Question], __: list[str]) -> Iterator[None]:
    """Ask for answers of some hundred kilobytes, and go when they begin to come."""
    resets = cycle((True, False))
    request = write_request(_BIG_QUESTION)

    def vanish() -> None:
        with _connection(port, reset=next(resets), buffer=_SMALL_BUFFER_BYTES) as client:
            client.sendall(request)
            client.recv(1)

    with repeating(vanish, 1 / _BIG_ANSWERS_A_SECOND):
        yield


@contextmanager
def pipelined(port: int, questions: Sequence[Question], faults: list[str]) -> Iterator[None]:
    """Send fifty requests at once over each of four connections, every second."""
    with ExitStack() as connections:
        clients = [connections.enter_context(_connection(port)) for _ in range(_PIPELINES)]
        streams = [client.makefile("rb") for client in clients]
        asked = [questions[number % len(questions)] for number in range(_PIPELINED)]
        request = b"".join(write_request(question, f"{n}") for n, question in enumerate(asked))

        def ask() -> None:
            for client in clients:
                client.sendall(request)
            for stream in streams:
                for number, question in enumerate(asked):
                    if fault := _read_fault(stream, f"{number}", question):
                        faults.append(fault)

        with repeating(ask, 1):
            yield


@contextmanager
def idle(port: int, _: Sequence[Question], __: list[str]) -> Iterator[None]:
    """Keep a thousand connections alive, each of which was asked for something once."""
    with ExitStack() as connections:
        for _batch in range(_IDLE // _OPENED_AT_ONCE):
            clients = [connections.enter_context(_connection(port)) for _ in range(_OPENED_AT_ONCE)]
            for client in clients:
                client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            for client in clients:
                client.recv(2**16)
        yield


HARMS: dict[str, Harm] = {
    "slow heads on 200 connections": slow_heads,
    "slow bodies on 200": slow_bodies,
    "clients that vanish mid-body": vanishing_mid_body,
    "mid-answer": vanishing_mid_answer,
    "50 requests pipelined on 4 connections": pipelined,
    "1,000 idle connections": idle,
}


@contextmanager
def _dripping(port: int, beginning: bytes) -> Iterator[None]:
    """Begin requests, and go on with one of them after the other; begin anew what is closed."""

    def begin() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
        client.sendall(beginning)
        return client

    clients = deque(begin() for _ in range(_SLOW))

    def drip() -> None:
        client = clients.popleft()
        try:
            client.sendall(b"a")
        except OSError:  # the service has had enough of it
            client.close()
            client = begin()
        clients.append(client)

    try:
        with repeating(drip, 1 / _SLOW):
            yield
    finally:
        for client in clients:
            client.close()


@contextmanager
def _connection(
    port: int, *, reset: bool = False, buffer: int | None = None
) -> Iterator[socket.socket]:
    """Open a connection, which ends with a reset or not, with a receive buffer of some bytes."""
    with socket.socket() as client:
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.settimeout(_TIMEOUT_SECONDS)
        client.connect(("127.0.0.1", port))
        yield client


def _read_fault(stream: BinaryIO, request_id: str, question: Question) -> str | None:
    """Read an answer; tell what is wrong with it, its place among the others for one."""
    try:
        status = int(stream.readline().split()[1])
        headers = dict(http.client.parse_headers(stream))
        body = stream.read(int(headers["Content-Length"]))
    except (OSError, LookupError) as error:
        return f"no answer to request {request_id}: {error!r}"
    if headers["X-Request-ID"] != request_id:
        return f"expected the answer to request {request_id}, got that to {headers['X-Request-ID']}"
    if status != http.HTTPStatus.OK:
        return f"answered {status} {body[:200].decode(errors='replace')}"
    return question.find_fault(headers, body)
