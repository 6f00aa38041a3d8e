"""An HTTP client that generates load on many connections and checks every response."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

NOT_CONNECTED, NO_RESPONSE = -1, 0
_TIMEOUT_SECONDS = 20
_RECONNECT_SECONDS = 0.01

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Request:
    """A request and the check of its response.

    Attributes:
        path: The path and query.
        content: The body of a POST; None for a GET.
        headers: Beside Host and Content-Length.
        check: Returns what is wrong with the headers (names in lower case) and the body of a
            response with status 200; None for nothing.
    """

    path: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Mapping[str, str], bytes], str | None] = lambda _, __: None

    def encode(self, **more: str) -> bytes:
        """Return the bytes of the request, with more headers (`_` stands for a hyphen)."""
        headers = {"Host": "127.0.0.1", **self.headers}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        if self.content is not None:
            headers["Content-Length"] = str(len(self.content))
        lines = [f"{'GET' if self.content is None else 'POST'} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + (self.content or b"")


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of a request.

    Attributes:
        due: When it was due, in seconds of `time.monotonic`.
        seconds: From then to the end of the response.
        status: The response's; NO_RESPONSE or NOT_CONNECTED without one.
        fault: What is wrong; None for nothing. A 503 with Retry-After is no fault.
        reused: Whether the connection had carried a request before.
    """

    due: float
    seconds: float
    status: int
    fault: str | None
    reused: bool


class Load:
    """Sends requests in turn from a thread while its block runs.

    Args:
        port: The server's.
        requests: What is sent.
        connections: How many clients send at the same time.
        rate: Requests per second of all clients together; a late request counts from when it was
            due. None for a closed loop: each client sends as soon as it has the last response.
        keep_alive: Whether a connection carries many requests, or one.

    Attributes:
        replies: The outcomes of the requests so far.
    """

    def __init__(
        self,
        port: int,
        requests: Sequence[Request],
        connections: int,
        rate: float | None = None,
        *,
        keep_alive: bool = True,
    ) -> None:
        self.replies: list[Reply] = []
        more = {} if keep_alive else {"Connection": "close"}
        self._requests = [(request, request.encode(**more)) for request in requests]
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
        """Send requests for some seconds."""
        with self:
            time.sleep(seconds)
        return self

    async def _run(self) -> None:
        start = time.monotonic()
        pause = self._pause / self._connections
        await asyncio.gather(*(self._send(start + n * pause) for n in range(self._connections)))

    async def _send(self, due: float) -> None:
        """Send one client's requests."""
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
            if status == NOT_CONNECTED:
                await asyncio.sleep(_RECONNECT_SECONDS)
        if stream:
            stream[1].close()

    async def _exchange(
        self, stream: Stream | None, request: Request, data: bytes
    ) -> tuple[Stream | None, int, str | None]:
        """Send a request; return the connection if it stays open, the status and the fault."""
        try:
            stream = stream or await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as error:
            return None, NOT_CONNECTED, repr(error)
        reader, writer = stream
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
        return stream, status, fault
