"""Handling of SIGINT and SIGTERM."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

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
    training step is as fast and reliable.
    """
    received: list[int] = []

    def check() -> None:
        if received:
            _raise(received[0], None)

    before = {
        number: signal.signal(number, lambda number, _frame: received.append(number))
        for number in _STOPPING
    }
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    check()


def ignore_signals() -> None:
    """Ignore SIGINT and SIGTERM from now on, for publishing, which takes about 0.1 s."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise TerminatedError if number == signal.SIGTERM else KeyboardInterrupt
