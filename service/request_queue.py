"""Queues of requests with load shedding by expected wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from service.errors import RequestError

T = TypeVar("T")
U = TypeVar("U")

# The weight of the latest request in the moving average of the time per request.
_SMOOTHING = 0.05
# Requests of the event loop that run together, and the bytes of their bodies: some milliseconds,
# after which the loop answers what does not wait in the queue.
_MAX_TOGETHER, _MAX_BYTES_TOGETHER = 16, 64 * 2**10
# Reading and rejecting other requests takes time, too. Computing may take so many times as long,
# but at most so many seconds at a time, for which health checks wait.
_COMPUTING_SHARE, _MAX_SECONDS_TOGETHER = 4, 0.05
# Then the event loop makes so many passes, enough to accept a connection and answer a health check,
# and more while requests arrive (uvloop accepts one connection in each), but for at most this long.
_PASSES, _MAX_SECONDS_BETWEEN = 4, 0.02


class _Waiting(Generic[T]):
    """A request in a queue."""

    def __init__(self, begin: Callable[[], Callable[[], T]], size: int) -> None:
        self.begin = begin
        self.size = size
        self.response: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def call(self, function: Callable[[], U]) -> U | None:
        """Call one half of the request; None if it fails, which fails the request alone."""
        try:
            return function()
        except Exception as error:  # noqa: BLE001 - it is raised where the response is awaited
            self.response.set_exception(error)
            return None


class RequestQueue(Generic[T]):
    """Runs requests in the order of their arrival.

    A request is a function that begins it and returns a function that finishes it. On the event
    loop, requests that wait at the same time are all begun before the first of them is finished,
    so that they can share a forward pass; in a thread, they run one by one.

    Args:
        max_seconds: The longest expected wait.
        thread: Name of a background thread to run them in; None for the event loop.
    """

    def __init__(self, max_seconds: float, thread: str | None = None) -> None:
        self._max_seconds = max_seconds
        self._executor = ThreadPoolExecutor(1, thread) if thread else None
        self._queue: deque[_Waiting[T]] = deque()
        self._scheduled = False
        self._has_arrived = False  # a request, since the last pass of the event loop
        self._waiting = 0
        self._since = 0.0  # when the event loop began with other things
        self._seconds_per_request = 0.0

    def rejection(self) -> RequestError | None:
        """Return the error for a request that would wait too long (503); None if it would not."""
        self._has_arrived = True
        if self._waiting * self._seconds_per_request <= self._max_seconds:
            return None
        return RequestError(
            503,
            f"server overloaded: {self._waiting} requests are queued; retry after 1 s",
            {"Retry-After": "1"},
        )

    async def run(self, begin: Callable[[], Callable[[], T]], size: int) -> T:
        """Wait for the requests before this one, run it, and return its response.

        Args:
            begin: The first half of the request, which returns the second.
            size: Bytes of its body.
        """
        self._waiting += 1
        position, started = self._waiting, time.monotonic()
        try:
            if self._executor:
                # Shielded: a thread cannot be cancelled, and the next one waits for its end.
                loop = asyncio.get_running_loop()
                return await asyncio.shield(loop.run_in_executor(self._executor, lambda: begin()()))
            waiting = _Waiting(begin, size)
            self._queue.append(waiting)
            if not self._scheduled:
                self._scheduled, self._since = True, started
                asyncio.get_running_loop().call_soon(self._run_next)
            return await waiting.response
        finally:
            self._waiting -= 1
            latest = (time.monotonic() - started) / position
            self._seconds_per_request += _SMOOTHING * (latest - self._seconds_per_request)

    def _run_next(self) -> None:
        """Run requests for their share of the time, and leave the others to a later pass."""
        started = time.monotonic()
        end = started + min(_COMPUTING_SHARE * (started - self._since), _MAX_SECONDS_TOGETHER)
        self._run_together()
        while self._queue and time.monotonic() < end:
            self._run_together()
        self._since = time.monotonic()
        self._scheduled = bool(self._queue)
        if self._queue:
            self._run_next_after(_PASSES)

    def _run_together(self) -> None:
        begun = [(waiting, waiting.call(waiting.begin)) for waiting in self._take()]
        for waiting, finish in begun:
            if finish and (response := waiting.call(finish)) is not None:
                waiting.response.set_result(response)

    def _run_next_after(self, passes: int) -> None:
        """Let the loop read what has arrived, and answer what need not wait, so many times."""
        if self._has_arrived:
            passes, self._has_arrived = _PASSES, False
        enough = not passes or time.monotonic() - self._since > _MAX_SECONDS_BETWEEN
        later = self._run_next if enough else partial(self._run_next_after, passes - 1)
        asyncio.get_running_loop().call_soon(later)

    def _take(self) -> list[_Waiting[T]]:
        """Take the requests that run together next from the queue."""
        together: list[_Waiting[T]] = []
        size = 0
        while self._queue and len(together) < _MAX_TOGETHER:
            size += self._queue[0].size
            if together and size > _MAX_BYTES_TOGETHER:
                break
            waiting = self._queue.popleft()
            if not waiting.response.done():  # its client may have gone
                together.append(waiting)
        return together
