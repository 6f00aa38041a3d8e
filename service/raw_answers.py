"""An answer as it goes over the connection, where gunicorn does not write it."""

from collections.abc import Iterable

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
        f"HTTP/1.1 {status}\r\nServer: {wsgi.SERVER}\r\nDate: {http_date()}\r\n"
        f"Connection: {connection}\r\n{lines}\r\n"
    )
    return head.encode("latin-1") + body
