"""Handling of SIGINT and SIGTERM."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class TerminatedError(BaseException):
    """SIGTERM was received; a BaseException, so that `except Exception` does not catch it."""


def raise_on_sigterm() -> None:
    """Make SIGTERM raise TerminatedError, so that context managers clean up."""
    signal.signal(signal.SIGTERM, _raise)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Defer SIGINT and SIGTERM until the yielded function is called, which raises them.

    An exception raised by a signal handler is lost if a destructor happens to run. A check at every
    training step is as fast and reliable. Outside the main thread, which alone receives signals, it
    does nothing.
    """
    received: list[int] = []

    def check() -> None:
        if received:
            _raise(received[0], None)

    with handled_by(lambda number, _frame: received.append(number)):
        yield check
    check()


@contextmanager
def handled_by(handler: Any) -> Iterator[None]:
    """Set the handler of SIGINT and SIGTERM; outside the main thread, do nothing."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in _STOPPING if is_main}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise TerminatedError if number == signal.SIGTERM else KeyboardInterrupt
