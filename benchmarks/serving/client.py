"""An HTTP client that generates load, in a closed loop or at a fixed rate, and checks responses."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import cast

import uvloop

from benchmarks.serving.protocols import Body

NOT_CONNECTED = -1
_LAST_RESPONSE_SECONDS = 10
_RECONNECT_SECONDS = 0.01
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_HEADER = re.compile(rb"\r\n([^:]+): ([^\r]*)")


@dataclass(frozen=True)
class Request:
    """A request and the check of its response.

    Attributes:
        path: The path and query.
        body: The body of a POST; None for a GET.
        check: Returns what is wrong with the headers (names in lower case) and the body of a
            response with status 200; None for nothing.
    """

    path: str
    body: Body | None = None
    check: Callable[[Mapping[str, str], bytes], str | None] = lambda _, __: None

    def encode(self, more: Mapping[str, str] | None = None, *, close: bool = False) -> bytes:
        """Return the bytes of the request, with further headers and `Connection: close`."""
        content = self.body.content if self.body else b""
        headers = {"Host": "127.0.0.1", **(self.body.headers if self.body else {}), **(more or {})}
        if self.body:
            headers["Content-Length"] = str(len(content))
        if close:
            headers["Connection"] = "close"
        lines = [f"{'POST' if self.body else 'GET'} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + content


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request.

    Attributes:
        due: When it was due, in seconds of `time.monotonic`.
        seconds: From then to the end of the response.
        status: The response's; 0 for a connection that ended without one, and NOT_CONNECTED.
        fault: What is wrong; None for nothing. A 503 with Retry-After is none.
        reused: Whether the connection had carried a request before.
    """

    due: float
    seconds: float
    status: int
    fault: str | None
    reused: bool


class Load:
    """Sends requests in turn; a context manager that does so, in a thread, while the block runs.

    Args:
        port: The server's.
        requests: What is sent.
        connections: How many are open in the closed loop; the most at a fixed rate.
        rate: Requests per second, evenly; None for a closed loop, in which each connection sends
            its next request as soon as it has the last response.
        keep_alive: Whether a connection carries many requests, or one.
        host: The server's address.

    Attributes:
        replies: What became of the requests so far.
        unsent: Requests that were due while every connection waited for a response.
    """

    def __init__(
        self,
        port: int,
        requests: Sequence[Request],
        connections: int,
        rate: float | None = None,
        *,
        keep_alive: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        self.replies: list[Reply] = []
        self.unsent = 0
        self.keep_alive = keep_alive
        self.address = host, port
        self._requests = [(r, r.encode(close=not keep_alive)) for r in requests]
        self._numbers = count()
        self._connections = connections
        self._rate = rate
        self._over = threading.Event()
        self._free: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()))

    def __enter__(self) -> Load:
        gc.disable()  # a collection would stop the client and count as latency
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        gc.enable()

    def run(self, seconds: float) -> Load:
        """Send requests for some seconds."""
        with self:
            time.sleep(seconds)
        return self

    def next_request(self) -> tuple[Request, bytes]:
        """Return the request whose turn it is."""
        return self._requests[next(self._numbers) % len(self._requests)]

    def on_response(self, connection: _Connection) -> None:
        """Use a connection again."""
        if self._rate:
            self._free.append(connection)
        elif not self._over.is_set():
            connection.send(time.monotonic())

    def on_end(self, connection: _Connection) -> None:
        """Replace a connection that has ended."""
        self._all.discard(connection)
        with suppress(ValueError):
            self._free.remove(connection)
        if not self._rate and not self._over.is_set():
            pause = _RECONNECT_SECONDS if connection.failed else 0
            asyncio.get_running_loop().call_later(pause, self._open)

    async def _run(self) -> None:
        if self._rate:
            await self._send_at_rate(self._rate)
        else:
            for _ in range(self._connections):
                self._open()
            while not self._over.is_set():
                await asyncio.sleep(0.005)
        end = time.monotonic() + _LAST_RESPONSE_SECONDS
        while any(connection.waits for connection in self._all) and time.monotonic() < end:
            await asyncio.sleep(0.005)
        for connection in list(self._all):
            connection.close()
        await asyncio.sleep(0.01)

    async def _send_at_rate(self, rate: float) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            while due <= time.monotonic():
                if self._free:
                    self._free.pop().send(due)
                elif len(self._all) < self._connections:
                    self._open(due)
                else:
                    self.unsent += 1
                due += 1 / rate
            await asyncio.sleep(due - time.monotonic())

    def _open(self, due: float | None = None) -> None:
        if due is None and self._over.is_set():
            return
        connection = _Connection(self, time.monotonic() if due is None else due)
        self._all.add(connection)
        asyncio.get_running_loop().create_task(self._connect(connection))

    async def _connect(self, connection: _Connection) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, *self.address)
        except OSError as error:
            connection.fail(NOT_CONNECTED, repr(error))


class _Connection(asyncio.Protocol):
    """A connection; it sends its first request when it is open."""

    def __init__(self, load: Load, due: float) -> None:
        self.waits = True
        self.failed = False
        self._load = load
        self._due = due
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent = 0

    def send(self, due: float) -> None:
        self.waits, self._due = True, due
        self._sent += 1
        self._request, content = self._load.next_request()
        cast(asyncio.Transport, self._transport).write(content)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def fail(self, status: int, fault: str) -> None:
        """Note that there is no response."""
        if self.waits:
            self.failed = True
            self._note(status, fault)
        self._load.on_end(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.send(self._due)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length and len(body) < int(length[1])):
            return
        self._received = b""
        status = int(head[9:12])
        self._note(status, self._check(status, head, body))
        if self._load.keep_alive and b"\r\nconnection: close" not in head.lower():
            self._load.on_response(self)
        else:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(0, f"the connection ended without a response: {error!r}")

    def _check(self, status: int, head: bytes, body: bytes) -> str | None:
        headers = {name.lower().decode(): text.decode() for name, text in _HEADER.findall(head)}
        if status == 200:
            return self._request.check(headers, body)
        if status == 503 and "retry-after" in headers:
            return None
        return f"answered {status} {body[:200].decode(errors='replace')}"

    def _note(self, status: int, fault: str | None) -> None:
        self.waits = False
        seconds = time.monotonic() - self._due
        self._load.replies.append(Reply(self._due, seconds, status, fault, self._sent > 1))
