"""While many clients send large messages, are slow or disappear, others get right responses."""

import json
import random
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from tests.stress.conftest import LONG, Record
from tests.stress.versions import MAX_WORKER_MEGABYTES, Versions, check_replies, check_workers, p99
from tests.support.load import Load, Request
from tests.support.pictures import encode
from tests.support.processes import open_files, peak_megabytes
from tests.support.server import JSON, Service, serve, wait_until

pytestmark = pytest.mark.stress

# Uses a connection until the server closes it, or the event is set.
Attack = Callable[[socket.socket, Event], None]
TIMEOUT_SECONDS, UNREAD_SECONDS = 10, 5
MAX_BODY_BYTES = 16 * 2**20
ATTACKERS = 64
CLIENTS, LOAD, MAX_SLOWDOWN = 16, 0.4, 2.0
WINDOW_SECONDS, SETTLE_SECONDS = 0.5, 1.5
PIPELINED = 20
GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
BEGINNINGS = (HEAD + b"X-Slow: ", HEAD + b"Content-Length: 100000\r\n\r\n")
RESET = struct.pack("ii", 1, 0)  # close with a reset instead of an orderly end
OCTETS = {"Content-Type": "application/octet-stream"}
PIXELS = np.random.default_rng(0).integers(0, 256, (1024, 784), np.uint8)
LARGE = Request("/predict?include=pixels,attributions", PIXELS[:64].tobytes(), OCTETS).encode()


@contextmanager
def attacking(service: Service, attack: Attack, connections: int) -> Iterator[None]:
    """Attack on some connections while the block runs; each is replaced when it ends."""
    over = Event()
    opened: list[socket.socket] = []

    def repeat() -> None:
        while not over.is_set():
            with suppress(OSError), service.open_socket() as client:
                client.settimeout(TIMEOUT_SECONDS)
                opened.append(client)
                attack(client, over)

    threads = [Thread(target=repeat) for _ in range(connections)]
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


def ask(content: bytes, headers: dict[str, str] = JSON) -> Attack:
    """Send a request and read the response."""
    data = Request("/predict", content, {**headers, "Connection": "close"}).encode()

    def attack(client: socket.socket, _: Event) -> None:
        client.sendall(data)
        while client.recv(2**16):
            pass

    return attack


def ask_and_wait(data: bytes) -> Attack:
    """Send a request and never read the response, or never end the body."""

    def attack(client: socket.socket, over: Event) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(data)
        over.wait(UNREAD_SECONDS)

    return attack


def stream(head: bytes, piece: bytes) -> Attack:
    """Send a piece again and again, and read nothing."""

    def attack(client: socket.socket, _: Event) -> None:
        client.sendall(head)
        while True:
            client.sendall(piece)

    return attack


def predict(images: int) -> bytes:
    return json.dumps({"pixels": PIXELS[:images].tolist()}).encode()


def gzip_bomb(megabytes: int) -> bytes:
    zeros = zlib.compressobj(wbits=31)
    return b"".join([*(zeros.compress(bytes(2**20)) for _ in range(megabytes)), zeros.flush()])


LARGE_MESSAGES: dict[str, Callable[[], Attack]] = {
    "JSON of 1,024 images": lambda: ask(predict(1024)),
    "JSON of too many numbers": lambda: ask(
        b'{"pixels":[' + b"1," * (MAX_BODY_BYTES // 2 - 20) + b"1]}"
    ),
    "gzip of 64 MiB": lambda: ask(gzip_bomb(64), OCTETS | {"Content-Encoding": "gzip"}),
    "a PNG of 2000x2000": lambda: ask(
        encode(Image.new("RGB", (2000, 2000))), {"Content-Type": "image/png"}
    ),
    "large responses that no client reads": lambda: ask_and_wait(LARGE),
    "bodies that stop before their end": lambda: ask_and_wait(
        HEAD + f"Content-Length: {MAX_BODY_BYTES}\r\n\r\n".encode() + bytes(MAX_BODY_BYTES - 1)
    ),
    "an endless header": lambda: stream(GET + b"X: ", b"a" * 2**16),
    "endless header fields": lambda: stream(GET, (b"X: " + b"a" * 8000 + b"\r\n") * 16),
    "pipelined predictions": lambda: stream(b"", Request("/predict", predict(64), JSON).encode()),
}


@pytest.mark.parametrize("name", LARGE_MESSAGES)
def test_memory(tmp_path: Path, versions: Versions, record: Record, name: str) -> None:
    """While 64 clients send a kind of large message, a worker's memory is bounded."""
    with serve(tmp_path, versions.models, workers=1, LOG_LEVEL="critical") as service:
        others = Load(service.port, [versions.request], 1)
        with others, attacking(service, LARGE_MESSAGES[name](), ATTACKERS):
            time.sleep(8 if LONG else 1)
        peak = max(map(peak_megabytes, service.workers))
    check_replies(others.replies)
    longest = max(reply.seconds for reply in others.replies)
    record("peak memory; longest response to another client", f"{peak:.0f} MB; {longest:.1f} s")
    assert peak <= MAX_WORKER_MEGABYTES


def send_slowly(client: socket.socket, over: Event) -> None:
    """Send a byte per second of a head or of a body."""
    client.sendall(random.choice(BEGINNINGS))
    while not over.wait(random.uniform(0.5, 1.5)):
        client.sendall(b"a")


def disappear(client: socket.socket, over: Event) -> None:
    """Close the connection within a request or a response, one time in two with a reset."""
    if random.random() < 0.5:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if random.random() < 0.8:
        client.sendall(LARGE[: len(LARGE) * 2 // 3])
    else:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(LARGE)
        client.recv(1)
    over.wait(0.1)


def pipeline(client: socket.socket, over: Event) -> None:
    """Send many requests at once; all must get responses."""
    one = Request("/predict", PIXELS[0].tobytes(), OCTETS).encode()
    client.sendall(one * PIPELINED + GET + b"Connection: close\r\n\r\n")
    received = b""
    while piece := client.recv(2**16):
        received += piece
    assert over.is_set() or received.count(b"HTTP/1.1 ") == PIPELINED + 1
    over.wait(1)


def idle(client: socket.socket, over: Event) -> None:
    """Keep a connection open that has carried one request."""
    client.sendall(GET + b"\r\n")
    client.recv(2**16)
    over.wait()


BEHAVIOURS: dict[str, tuple[Attack, int]] = {
    "a byte per second on 200 connections": (send_slowly, 200),
    "clients that disappear within a request or response": (disappear, 3),
    "20 requests pipelined on 4 connections": (pipeline, 4),
    "500 idle connections": (idle, 500),
}


def test_slow_clients(tmp_path: Path, versions: Versions, record: Record) -> None:
    """In the long form the p99 of requests at a fixed rate at most doubles."""
    windows: dict[str, list[tuple[float, float]]] = {name: [] for name in BEHAVIOURS}
    with serve(tmp_path, versions.models) as service:
        Load(service.port, [versions.request], CLIENTS).run(1)
        capacity = len(Load(service.port, [versions.request], CLIENTS).run(1).replies)
        with Load(service.port, [versions.request], CLIENTS, LOAD * capacity) as load:
            time.sleep(1)
            files = open_files(*service.workers)
            for _ in range(4 if LONG else 1):
                for name, (attack, connections) in BEHAVIOURS.items():
                    before = time.monotonic()
                    time.sleep(WINDOW_SECONDS)
                    with attacking(service, attack, connections):
                        time.sleep(SETTLE_SECONDS)
                        windows[name].append((before, time.monotonic()))
                        time.sleep(WINDOW_SECONDS)
                    time.sleep(WINDOW_SECONDS)
            # A few files are opened at the first use.
            wait_until(lambda: open_files(*service.workers) <= files + 2, "connections are closed")
        record("peak memory of a worker", check_workers(service))
    check_replies(load.replies)
    for name, pairs in windows.items():
        times = [[p99(load.replies, start, WINDOW_SECONDS) for start in pair] for pair in pairs]
        slowdown = median(during / before for before, during in times)
        record(f"{name}: p99 of others, times that before", f"{slowdown:.1f}")
        assert not LONG or slowdown <= MAX_SLOWDOWN, name
