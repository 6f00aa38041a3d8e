"""An HTTP client that generates load on many connections and checks every response."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

NO_RESPONSE = 0
_TIMEOUT_SECONDS, _RETRY_SECONDS = 20, 0.01
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Request:
    """A POST, or a GET without content.

    `check` returns what is wrong with the headers (names in lower case) and the body of a response
    with status 200; None for nothing.
    """

    path: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Mapping[str, str], bytes], str | None] = lambda _, __: None

    def encode(self) -> bytes:
        method, headers = "GET", {"Host": "127.0.0.1", **self.headers}
        if self.content is not None:
            method, headers["Content-Length"] = "POST", str(len(self.content))
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"{method} {self.path} HTTP/1.1\r\n{''.join(lines)}\r\n"
        return head.encode() + (self.content or b"")


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of a request."""

    due: float  # in seconds of time.monotonic
    seconds: float  # from then to the end of the response
    status: int  # NO_RESPONSE without one
    fault: str | None  # what is wrong; a 503 with Retry-After is no fault
    reused: bool  # whether the connection had carried a request before


class Load:
    """Sends requests in turn from a thread while its block runs, and collects `replies`.

    The rate is that of all connections together; a late request counts from when it was due.
    Without a rate, in a closed loop, each connection sends as soon as it has the last response.
    """

    def __init__(
        self, port: int, requests: Sequence[Request], connections: int, rate: float | None = None
    ) -> None:
        self.replies: list[Reply] = []
        self._requests = [(request, request.encode()) for request in requests]
        self._numbers = count()
        self._port = port
        self._connections = connections
        self._pause = connections / rate if rate else 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Load:
        gc.disable()  # a collection would stop the client and count as latency
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        gc.enable()

    def run(self, seconds: float) -> Load:
        with self:
            time.sleep(seconds)
        return self

    async def _run(self) -> None:
        start = time.monotonic()
        pause = self._pause / self._connections
        await asyncio.gather(*(self._send(start + n * pause) for n in range(self._connections)))

    async def _send(self, due: float) -> None:
        stream: Stream | None = None
        while not self._over.is_set():
            if self._pause:
                await asyncio.sleep(due - time.monotonic())
            else:
                due = time.monotonic()
            request, data = self._requests[next(self._numbers) % len(self._requests)]
            reused = stream is not None
            stream, status, fault = await self._exchange(stream, request, data)
            seconds = time.monotonic() - due
            self.replies.append(Reply(due, seconds, status, fault, reused))
            due += self._pause
            if status == NO_RESPONSE:
                await asyncio.sleep(_RETRY_SECONDS)
        if stream:
            stream[1].close()

    async def _exchange(
        self, stream: Stream | None, request: Request, data: bytes
    ) -> tuple[Stream | None, int, str | None]:
        """Send a request; return the connection if it stays open, the status and the fault."""
        try:
            reader, writer = stream or await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as error:
            return None, NO_RESPONSE, repr(error)
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                writer.write(data)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
        except (OSError, EOFError) as error:
            writer.close()
            return None, NO_RESPONSE, f"the connection ended without a response: {error!r}"
        status, fault = int(head[0].split()[1]), None
        if status == 200:
            fault = request.check(headers, body)
        elif status != 503 or "retry-after" not in headers:
            fault = f"status {status}: {body[:200]!r}"
        if headers.get("connection") == "close":
            writer.close()
            return None, status, fault
        return (reader, writer), status, fault
