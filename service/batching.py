"""Requests that come at the same time share a forward pass."""

import time
from collections.abc import Callable
from itertools import accumulate
from threading import Lock

import numpy as np

from nncore.types import Array

# Measured, microseconds an image with the shipped network: 57 alone, 65 of 2, 89 of 4, 65 of 8, 54
# of 12, 38 of 16, 30 of 32, 28 of 64. Fewer images than this are faster one request after another.
_FEWEST_TOGETHER = 16
_MOST_TOGETHER = 64
# Unlike 0, any time at all makes gevent's loop look which requests have arrived.
_A_MOMENT = 1e-6


class _Job:
    """A request's images, and in the end its results or what went wrong."""

    def __init__(self, images: Array) -> None:
        self.images = images
        self.results: Array | None = None
        self.error: Exception | None = None
        self._turn = Lock()
        self._turn.acquire()

    def wait(self) -> None:
        """Wait for `wake`, which comes with the results or, without them, is the turn to lead."""
        self._turn.acquire()

    def wake(self) -> None:
        self._turn.release()


class Batcher:
    """Calls a function on the images of several requests at once; for any number of threads.

    The first request waits a moment, in which those that have arrived are decoded, and then
    computes for as many as make a good batch, together if that is faster; the first of those left
    over goes on.

    Args:
        function: Maps float32 `(batch, pixels)` to float32 `(batch, classes)`, row by row.
    """

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function
        self._lock = Lock()
        self._waiting: list[_Job] = []
        self._busy = False

    def __call__(self, images: Array) -> Array:
        """Give the function's results for a request's images.

        Raises:
            Exception: What the function raises.
        """
        job = _Job(images)
        with self._lock:
            self._waiting.append(job)
            leads, self._busy = not self._busy, True
        if not leads:
            job.wait()
        if job.results is None and job.error is None:
            self._lead()
        if job.results is None:
            raise job.error or RuntimeError("expected results or an error, got neither")
        return job.results

    def _lead(self) -> None:
        """Compute for the first that wait, of which the caller is one; then let the next lead."""
        try:
            if self._images_waiting() < _FEWEST_TOGETHER:
                time.sleep(_A_MOMENT)
            _, *others = batch = self._take()
            if sum(len(job.images) for job in batch) >= _FEWEST_TOGETHER:
                self._compute(batch)
            else:
                for job in batch:
                    self._compute([job])
            for job in others:
                job.wake()
        finally:
            with self._lock:
                self._busy = bool(self._waiting)
                if self._busy:
                    self._waiting[0].wake()

    def _images_waiting(self) -> int:
        with self._lock:
            return sum(len(job.images) for job in self._waiting)

    def _take(self) -> list[_Job]:
        with self._lock:
            images, count = 0, 0
            for job in self._waiting:
                images += len(job.images)
                if count and images > _MOST_TOGETHER:
                    break
                count += 1
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _compute(self, batch: list[_Job]) -> None:
        try:
            if len(batch) == 1:
                batch[0].results = self._function(batch[0].images)
                return
            results = self._function(np.concatenate([job.images for job in batch]))
            ends = list(accumulate(len(job.images) for job in batch))
            for job, start, end in zip(batch, [0, *ends], ends, strict=False):
                job.results = results[start:end]
        except Exception as error:  # noqa: BLE001 - it is the caller's, whoever that is
            for job in batch:
                job.error = error
