"""Requests compute one after another, and between two of them everything else has its chance."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# Unlike 0, any time at all makes gevent's loop look what has arrived.
_A_MOMENT = 1e-6


class Turns:
    """Gives turns in the order in which they are asked for; for any number of threads.

    Whoever has a turn first waits a moment. What has arrived by then, and wants no turn, is
    answered: a health check, or a request that there is no room for.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn, which lasts as long as the block."""
        self._wait()
        try:
            time.sleep(_A_MOMENT)
            yield
        finally:
            self._pass_on()

    def _wait(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
