"""Large, endless or unread messages arrive on 64 connections; a worker's memory is bounded."""

import io
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.stress.conftest import Record
from tests.stress.versions import MAX_WORKER_MEGABYTES, Versions, check_replies
from tests.support.load import Load, Request
from tests.support.processes import peak_megabytes
from tests.support.server import JSON, Service, serve

pytestmark = pytest.mark.stress

# Uses one connection until it is closed, or the experiment is over.
Attack = Callable[[socket.socket, threading.Event], None]
CONNECTIONS = 64
TIMEOUT_SECONDS = 10
MAX_BODY_BYTES = 16 * 2**20
OCTETS = {"Content-Type": "application/octet-stream"}
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PIXELS = np.random.default_rng(0).integers(0, 256, (1024, 784), np.uint8)


def ask(content: bytes, headers: dict[str, str] = JSON, query: str = "") -> Attack:
    """Send a request and read the response."""
    data = Request(f"/predict{query}", content, headers).encode(Connection="close")

    def attack(client: socket.socket, _: threading.Event) -> None:
        client.sendall(data)
        while client.recv(2**16):
            pass

    return attack


def ask_and_wait(data: bytes) -> Attack:
    """Send a request and never read the response, or never end the body."""

    def attack(client: socket.socket, over: threading.Event) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(data)
        over.wait(TIMEOUT_SECONDS / 2)

    return attack


def stream(head: bytes, piece: bytes) -> Attack:
    """Send a piece again and again, and read nothing."""

    def attack(client: socket.socket, _: threading.Event) -> None:
        client.sendall(head)
        while True:
            client.sendall(piece)

    return attack


def predict(images: int) -> bytes:
    return json.dumps({"pixels": PIXELS[:images].tolist()}).encode()


def png(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "PNG")
    return file.getvalue()


def gzip_bomb(megabytes: int) -> bytes:
    zeros = zlib.compressobj(wbits=31)
    return b"".join([*(zeros.compress(bytes(2**20)) for _ in range(megabytes)), zeros.flush()])


LARGE = Request("/predict?include=pixels,attributions", PIXELS[:64].tobytes(), OCTETS)
ATTACKS: dict[str, Callable[[], Attack]] = {
    "JSON of 1,024 images": lambda: ask(predict(1024)),
    "JSON of too many numbers": lambda: ask(
        b'{"pixels":[' + b"1," * (MAX_BODY_BYTES // 2 - 20) + b"1]}"
    ),
    "JSON of brackets": lambda: ask(b'{"pixels":' + b"[" * (MAX_BODY_BYTES - 20)),
    "too many bytes of pixels": lambda: ask(bytes(MAX_BODY_BYTES), OCTETS),
    "gzip of 64 MiB": lambda: ask(gzip_bomb(64), OCTETS | {"Content-Encoding": "gzip"}),
    "a PNG of 4000x4000": lambda: ask(png(4000), {"Content-Type": "image/png"}),
    "a PNG of 2000x2000": lambda: ask(png(2000), {"Content-Type": "image/png"}),
    "large responses": lambda: ask(PIXELS[:64].tobytes(), OCTETS, "?include=pixels,attributions"),
    "large responses that no client reads": lambda: ask_and_wait(LARGE.encode()),
    "bodies that stop before their end": lambda: ask_and_wait(
        HEAD + f"Content-Length: {MAX_BODY_BYTES}\r\n\r\n".encode() + bytes(MAX_BODY_BYTES - 1)
    ),
    "chunks of one byte": lambda: stream(CHUNKED, b"1\r\na\r\n" * 1000),
    "an endless chunked body": lambda: stream(CHUNKED, b"10000\r\n" + bytes(2**16) + b"\r\n"),
    "an endless header": lambda: stream(b"GET / HTTP/1.1\r\nX: ", b"a" * 2**16),
    "endless header fields": lambda: stream(b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 1000),
    "pipelined requests": lambda: stream(b"", Request("/health").encode() * 1000),
    "pipelined predictions": lambda: stream(b"", Request("/predict", predict(64), JSON).encode()),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_memory(tmp_path: Path, versions: Versions, record: Record, long: bool, name: str) -> None:
    with serve(tmp_path, versions.models, workers=1, LOG_LEVEL="critical") as service:
        with (
            Load(service.port, [versions.request], 1) as others,
            attacking(service, ATTACKS[name]()),
        ):
            time.sleep(8 if long else 1)
        peak = max(map(peak_megabytes, service.workers))
    check_replies(others.replies)
    longest = max(reply.seconds for reply in others.replies)
    record("peak memory; longest response to others", f"{peak:.0f} MB; {longest:.1f} s")
    assert peak <= MAX_WORKER_MEGABYTES


@contextmanager
def attacking(service: Service, attack: Attack) -> Iterator[None]:
    over = threading.Event()
    opened: list[socket.socket] = []

    def repeat() -> None:
        while not over.is_set():
            with suppress(OSError):
                client = service.open_socket()
                client.settimeout(TIMEOUT_SECONDS)
                opened.append(client)
                with client:
                    attack(client, over)

    threads = [threading.Thread(target=repeat) for _ in range(CONNECTIONS)]
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
