"""Large requests and responses arrive on many connections; no worker may use too much memory."""

import io
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.chaos.outcome import MAX_WORKER_MEGABYTES, Outcome
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import Load, Request
from benchmarks.serving.protocols import PREDICT, Body
from benchmarks.serving.server import Server, serve
from tests.support.processes import peak_megabytes

_CONNECTIONS = 64
_TIMEOUT_SECONDS = 10
_MAX_BODY_BYTES = 16 * 2**20
_MAX_BATCH = 1024
# gunicorn reads ahead on each connection, and no setting bounds that: measured, not judged.
_BEYOND_THE_LIMIT = ("pipelined requests", "pipelined predictions")


def run(full: bool, folder: Path) -> Outcome:
    """Send each kind from 64 connections, for eight seconds each or, for CI, one."""
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    for name, attack in _attacks().items():
        with serve(folder, folder / "models", workers=1, LOG_LEVEL="critical") as server:
            with Load(server.port, [truth.request], 1) as others, _attacking(server, attack):
                time.sleep(8 if full else 1)
            wrong = [reply for reply in others.replies if reply.fault]
            outcome.expect(not wrong, f"{name}: {len(wrong)} wrong responses: {wrong[:1]}")
            peak = max(map(peak_megabytes, server.workers))
        outcome.figures[f"peak memory of a worker, {name}"] = f"{peak:.0f} MB"
        if name not in _BEYOND_THE_LIMIT:
            outcome.expect(peak <= MAX_WORKER_MEGABYTES, f"{name}: a worker used {peak:.0f} MB")
    return outcome


# Uses one connection until it is closed, or the experiment is over.
_Attack = Callable[[socket.socket, threading.Event], None]


@contextmanager
def _attacking(server: Server, attack: _Attack) -> Iterator[None]:
    over = threading.Event()
    opened: list[socket.socket] = []

    def repeat() -> None:
        while not over.is_set():
            with suppress(OSError):
                client = socket.create_connection(("127.0.0.1", server.port), _TIMEOUT_SECONDS)
                opened.append(client)
                with client:
                    attack(client, over)

    threads = [threading.Thread(target=repeat) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for client in opened:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def _attacks() -> dict[str, _Attack]:
    pixels = np.random.default_rng(0).integers(0, 256, (_MAX_BATCH, 784), np.uint8)
    octets = {"Content-Type": "application/octet-stream"}
    json = {"Content-Type": "application/json"}
    zeros = zlib.compressobj(wbits=31)
    bomb = b"".join([*(zeros.compress(bytes(2**20)) for _ in range(256)), zeros.flush()])
    numbers = b'{"pixels":[' + b"1," * (_MAX_BODY_BYTES // 2 - 20) + b"1]}"
    brackets = b'{"pixels":' + b"[" * (_MAX_BODY_BYTES - 20)
    bodies = {
        f"JSON of {_MAX_BATCH} images": PREDICT.write(pixels),
        "JSON of too many numbers": Body(numbers, json),
        "JSON of brackets": Body(brackets, json),
        "too many bytes of pixels": Body(bytes(_MAX_BODY_BYTES), octets),
        "gzip of 256 MiB": Body(bomb, octets | {"Content-Encoding": "gzip"}),
        "a PNG of 4000x4000": Body(_png(4000), {"Content-Type": "image/png"}),
        "a PNG of 2000x2000": Body(_png(2000), {"Content-Type": "image/png"}),
    }
    large = Request("/predict?include=pixels,attributions", Body(pixels[:64].tobytes(), octets))
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
    return {
        **{name: _asking(Request("/predict", body)) for name, body in bodies.items()},
        "large responses": _asking(large),
        "large responses that no client reads": _not_reading(large.encode()),
        "bodies that stop before their end": _stalling(head, _MAX_BODY_BYTES),
        "chunks of one byte": _streaming(
            head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 1000
        ),
        "a chunked body without end": _streaming(
            head + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(2**16) + b"\r\n"
        ),
        "a header without end": _streaming(b"GET / HTTP/1.1\r\nX: ", b"a" * 2**16),
        "header fields without end": _streaming(b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 1000),
        "pipelined requests": _streaming(b"", Request("/health").encode() * 1000),
        "pipelined predictions": _streaming(
            b"", Request("/predict", PREDICT.write(pixels[:64])).encode()
        ),
    }


def _png(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "PNG")
    return file.getvalue()


def _asking(request: Request) -> _Attack:
    data = request.encode(close=True)

    def attack(client: socket.socket, _: threading.Event) -> None:
        client.sendall(data)
        while client.recv(2**16):
            pass

    return attack


def _not_reading(data: bytes) -> _Attack:
    def attack(client: socket.socket, over: threading.Event) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(data)
        over.wait(_TIMEOUT_SECONDS / 2)

    return attack


def _stalling(head: bytes, length: int) -> _Attack:
    def attack(client: socket.socket, _: threading.Event) -> None:
        client.sendall(head + f"Content-Length: {length}\r\n\r\n".encode() + bytes(length - 1))
        client.recv(1)

    return attack


def _streaming(head: bytes, piece: bytes) -> _Attack:
    def attack(client: socket.socket, _: threading.Event) -> None:
        client.sendall(head)
        while True:
            client.sendall(piece)

    return attack
