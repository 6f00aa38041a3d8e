"""Threads of the system, for what takes long: requests are answered meanwhile."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from gevent import get_hub
from gevent.util import wrap_errors

P = ParamSpec("P")
T = TypeVar("T")


def call_aside(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call a function in a thread, and wait for what it returns or raises."""
    # What leaves a thread as an error, gevent prints with its traceback, whoever handles it.
    without_errors = wrap_errors(Exception, function)
    result: T | Exception = get_hub().threadpool.apply(without_errors, arguments, options)
    if isinstance(result, Exception):
        raise result
    return result
