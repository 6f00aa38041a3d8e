"""Threads of which only one goes at a time, and another after every line of source."""

import random
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class Interleaving:
    """Runs functions at once, each in a thread, and switches between every two lines.

    Which thread goes next is drawn from a seed, so that a run can be repeated.

    Args:
        folder: Switches happen in source files whose path begins with it.
        seed: Of the order.

    Attributes:
        switches: How often another thread went on.
    """

    def __init__(self, folder: str, seed: int) -> None:
        self.switches = 0
        self._folder = folder
        self._choice = random.Random(seed)
        self._may_go: dict[int, threading.Semaphore] = {}

    def run(self, functions: Sequence[Callable[[], T]]) -> list[T]:
        """Give what the functions return, in their order."""
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
