"""Deterministic interleaving of threads: a random one runs after every line of source."""

import random
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class Interleaving:
    """Runs functions in threads, and may switch the thread after every line.

    The order is drawn from a seed, so that a run can be repeated.

    Args:
        folder: Switches happen in source files below this folder.
        seed: The seed of the order.

    Attributes:
        switches: The number of switches.
    """

    def __init__(self, folder: str, seed: int) -> None:
        self.switches = 0
        self._folder = folder
        self._choice = random.Random(seed)
        self._may_go: dict[int, threading.Semaphore] = {}

    def run(self, functions: Sequence[Callable[[], T]]) -> list[T]:
        """Return the results of the functions, in their order."""
        results: dict[int, T] = {}
        self._may_go = {number: threading.Semaphore(0) for number in range(len(functions))}

        def work(number: int, function: Callable[[], T]) -> None:
            self._may_go[number].acquire()
            sys.settrace(self._trace(number))
            try:
                results[number] = function()
            finally:
                sys.settrace(None)
                del self._may_go[number]
                if self._may_go:
                    self._next().release()

        threads = [threading.Thread(target=work, args=item) for item in enumerate(functions)]
        for thread in threads:
            thread.start()
        self._next().release()
        for thread in threads:
            thread.join()
        return [results[number] for number in range(len(functions))]

    def _trace(self, number: int) -> Callable[[FrameType, str, Any], Any]:
        def trace_lines(_: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                self._switch(number)
            return trace_lines

        def trace_calls(frame: FrameType, event: str, argument: Any) -> Any:
            return trace_lines if frame.f_code.co_filename.startswith(self._folder) else None

        return trace_calls

    def _switch(self, number: int) -> None:
        other = self._next()
        if other is not self._may_go[number]:
            self.switches += 1
            other.release()
            self._may_go[number].acquire()

    def _next(self) -> threading.Semaphore:
        return self._may_go[self._choice.choice(list(self._may_go))]
