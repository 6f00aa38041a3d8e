"""How the job ends early: SIGTERM is raised as Ctrl-C is, until it is too late to stop."""

import signal
from types import FrameType
from typing import NoReturn


class TerminatedError(BaseException):
    """SIGTERM came; not an Exception, so that no handler of failures swallows it."""


def raise_on_sigterm() -> None:
    """Have SIGTERM unwind the stack, so that whatever is half done is cleared away."""
    signal.signal(signal.SIGTERM, _raise_terminated)


def ignore_signals() -> None:
    """Let nothing interrupt the tenth of a second of publishing: it is done, or it fails."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _raise_terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TerminatedError
