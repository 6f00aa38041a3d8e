"""How the job ends early: SIGTERM as Ctrl-C, at a moment when nothing can swallow it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class TerminatedError(BaseException):
    """SIGTERM came; not an Exception, so that no handler of failures swallows it."""


def raise_on_sigterm() -> None:
    """Have SIGTERM unwind the stack, so that whatever is half done is cleared away."""
    signal.signal(signal.SIGTERM, _raise)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Keep SIGINT and SIGTERM until the yielded function is called, which raises what came.

    An exception that a signal raises anywhere may come up in a destructor, which ignores it. A loop
    that asks at every step is as quick to stop and always does.
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
    """Let nothing interrupt the tenth of a second of publishing: it is done, or it fails."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise TerminatedError if number == signal.SIGTERM else KeyboardInterrupt
