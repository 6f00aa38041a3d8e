"""Requests compute one after another, and now and then everything else has its chance."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# Some ten requests of one image are answered in it.
_SECONDS_BETWEEN_LOOKS = 0.005
# Unlike 0, any time at all makes gevent's loop look what has arrived.
A_MOMENT = 1e-6


class Turns:
    """Gives turns in the order in which they are asked for; for any number of threads.

    Every few milliseconds whoever has a turn first waits a moment. What has arrived by then, and
    wants no turn, is answered: a health check, say.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()
        self._looked = 0.0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn, which lasts as long as the block."""
        self._wait()
        try:
            self._look()
            yield
        finally:
            self._pass_on()

    def stand_back(self) -> None:
        """Wait until those that wait now have had their turns."""
        with self.take():
            pass

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

    def _look(self) -> None:
        """Let what has arrived go first, if that was not the case for some time."""
        if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            time.sleep(A_MOMENT)
            self._looked = time.monotonic()
