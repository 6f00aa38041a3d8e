"""An answer as it goes over the connection, where gunicorn does not write it."""

import time
from collections.abc import Iterable
from functools import lru_cache

from gunicorn.http import wsgi
from gunicorn.util import http_date


def write_answer(
    status: str, headers: Iterable[tuple[str, str]], body: bytes, *, close: bool
) -> bytes:
    """Write an answer of HTTP/1.1.

    Args:
        status: Its number and what that means.
        headers: Its headers.
        body: Its body.
        close: Whether the connection ends with it.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    connection = "close" if close else "keep-alive"
    head = (
        f"HTTP/1.1 {status}\r\nServer: {wsgi.SERVER}\r\nDate: {_date(int(time.time()))}\r\n"
        f"Connection: {connection}\r\n{lines}\r\n"
    )
    return head.encode("latin-1") + body


@lru_cache(1)
def _date(second: int) -> str:
    """Write a second as HTTP does; in one there are thousands of refusals."""
    date: str = http_date(second)
    return date
