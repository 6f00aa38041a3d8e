"""The body of a request as it arrives: bounded in size, in time and, over all bodies, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from service.errors import RequestError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

_BODY_SECONDS = 30
# Of all request bodies larger than the first figure, a worker holds at most the second at a time.
_SMALL_BODY_BYTES, _MAX_LARGE_BYTES = 16 * 2**10, 16 * 2**20
# With the responses that clients do not read, at most this: then no request is accepted.
_MAX_HELD_BYTES = 32 * 2**20
# Chunks that are shorter than this on average only cost time: gunicorn parses one in 10 us.
_MIN_CHUNK_BYTES, _FREE_CHUNKS = 64, 1000
# After an error the rest of the body is discarded for so long and so far: closing a connection
# with unread data resets it, and the client may not receive the response.
_DISCARD_SECONDS, _MAX_DISCARD_BYTES = 2, 2**20


class HeldBytes:
    """How many bytes a worker holds of large request bodies and of responses not yet sent."""

    def __init__(self) -> None:
        self.count = 0

    def rejection(self, max_bytes: int = _MAX_HELD_BYTES) -> RequestError | None:
        """Return the error for a request that there is no memory for (503); None if there is."""
        if self.count <= max_bytes:
            return None
        detail = "server overloaded: its memory for bodies is full; retry after 1 s"
        return RequestError(503, detail, {"Retry-After": "1"})


class RequestBody:
    """The body of one request.

    Args:
        environ: The request's head.
        receive: Returns the next part of the body, as the ASGI specification defines it.
        max_bytes: The largest body.
        held: Shared by the bodies of all requests.

    Attributes:
        data: The body, once it is read.
    """

    def __init__(
        self, environ: WSGIEnvironment, receive: Receive, max_bytes: int, held: HeldBytes
    ) -> None:
        self.data = b""
        self._receive = receive
        self._max_bytes = max_bytes
        self._held = held
        self._own_bytes = 0
        self._is_complete = False
        self._declared = environ.get("CONTENT_LENGTH", "")

    async def read(self) -> RequestError | None:
        """Receive the whole body into `data`; return the error if that is not possible."""
        length = int(self._declared) if self._declared.isdecimal() else 0
        if length > self._max_bytes:
            return self._too_large(str(length))
        # Most bodies arrive whole. A timeout of our own would cost 15 us; gunicorn has one, too.
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self._is_complete = True
            self.data = message.get("body", b"")
            return self._check(len(self.data), 1)
        received = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await self._read_on(message, received)
        except TimeoutError:
            return RequestError(
                408, f"expected the whole body within {_BODY_SECONDS} s, got {len(received)} bytes"
            )

    async def _read_on(self, message: Message, received: bytearray) -> RequestError | None:
        """Receive a body that arrives in several messages, of which this is the first."""
        for chunks in count(1):
            if message["type"] == "http.disconnect":
                return RequestError(400, "expected a whole body, got a part of it")
            received += message.get("body", b"")
            if error := self._check(len(received), chunks):
                return error
            if not message.get("more_body"):
                break
            message = await self._receive()
        self._is_complete = True
        self.data = bytes(received)
        return None

    def _check(self, received: int, chunks: int) -> RequestError | None:
        if received > self._max_bytes:
            return self._too_large("more")
        if chunks > _FREE_CHUNKS + received // _MIN_CHUNK_BYTES:
            return RequestError(400, f"expected larger chunks, got {chunks} for {received} bytes")
        if received > _SMALL_BODY_BYTES:
            self._held.count += received - self._own_bytes
            self._own_bytes = received
            return self._held.rejection(max(_MAX_LARGE_BYTES, self._max_bytes))
        return None

    def _too_large(self, got: str) -> RequestError:
        return RequestError(
            413,
            f"expected a body of at most {self._max_bytes} bytes, got {got}: "
            "send fewer images per request",
        )

    def release(self) -> None:
        """Give up the body, which has been answered."""
        self._held.count -= self._own_bytes
        self._own_bytes, self.data = 0, b""

    async def discard(self) -> None:
        """Receive what remains, within limits; beyond them gunicorn closes the connection."""
        discarded = 0
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                while not self._is_complete and discarded < _MAX_DISCARD_BYTES:
                    message = await self._receive()
                    discarded += len(message.get("body", b""))
                    self._is_complete = not message.get("more_body")
        except TimeoutError:
            pass
