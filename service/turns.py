"""Requests compute one after another, and now and then everything else has its chance."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from service.waiting import let_others_go_first

# While both are asked for, computing gets so many times as long as refusing. Measured at four times
# the capacity of one image, on two cores with the clients: the p99 of the accepted was 2.2 times
# that at capacity, and with 2 instead 2.6 and 2.9 times, while the refused waited as long (63 ms in
# the median; 51 and 61). With 4, a core for each worker, they waited 103 ms where with 2 it was 62.
_COMPUTING_SHARE = 3
_MOST_OWED_SECONDS = 0.005
# Some ten requests of one image are answered in it.
_SECONDS_BETWEEN_LOOKS = 0.005


class Turns:
    """Gives turns to compute and turns to refuse, of each kind in the order of asking.

    While both are asked for each kind has its share of the time, so that neither a crowd that is
    refused stops the work, nor the work keeps the crowd waiting. Every few milliseconds whoever has
    a turn waits a moment at its end. What has arrived by then, and wants no turn, is answered: a
    health check, say. It is for any number of threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._computing: deque[Lock] = deque()
        self._refusing: deque[Lock] = deque()
        # Seconds that computing has had more than its share, while both were asked for.
        self._ahead = 0.0
        self._looked = 0.0

    @contextmanager
    def take(self, *, to_refuse: bool = False) -> Iterator[None]:
        """Wait for a turn, which lasts as long as the block."""
        self._wait(self._refusing if to_refuse else self._computing)
        started = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            if ended - self._looked > _SECONDS_BETWEEN_LOOKS:
                let_others_go_first()
                self._looked = time.monotonic()
            seconds = ended - started
            self._pass_on(-_COMPUTING_SHARE * seconds if to_refuse else seconds)

    def _wait(self, queue: deque[Lock]) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            turn = Lock()
            turn.acquire()
            queue.append(turn)
        turn.acquire()

    def _pass_on(self, ahead: float) -> None:
        with self._lock:
            both = self._computing and self._refusing
            # A refusal at which the system lets other processes go first is not paid for in full:
            # all others would wait for that.
            self._ahead = max(self._ahead + ahead, -_MOST_OWED_SECONDS) if both else 0.0
            if both:
                queue = self._refusing if self._ahead > 0 else self._computing
            else:
                queue = self._computing or self._refusing
            if queue:
                queue.popleft().release()
            else:
                self._taken = False
