"""The body of a request: read whole when it is wanted, discarded when it is not."""

from contextlib import suppress
from socket import SHUT_RDWR
from typing import IO

from flask import Response, after_this_request, request
from gevent import Timeout
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from service.errors import RequestError

# A broken connection, or chunks that are none.
_UNREADABLE = (OSError, ParseException, ClientDisconnected)
# A client that is slower is given up: each holds a connection, of which there are so many.
_MOST_SECONDS = 60
_PIECE_BYTES = 2**16
_MOST_DISCARDED_BYTES = 2**28


def read_body() -> bytes:
    """Read the body of the current request.

    Raises:
        RequestError: It is larger than the limit (413), or does not arrive whole or in time (400).
    """
    length = request.content_length
    try:
        with Timeout(_MOST_SECONDS):
            body = request.get_data(cache=False)
            # Werkzeug silently cuts a body of unknown length at the limit.
            if length is None and request.environ["wsgi.input"].read(1):
                raise RequestEntityTooLarge
    except RequestEntityTooLarge:
        raise RequestError(
            413,
            f"expected a body of at most {request.max_content_length} bytes, "
            f"got {'more' if length is None else length}: send fewer images a request",
        ) from None
    except _UNREADABLE:
        raise RequestError(400, "expected a whole body, got one that breaks off") from None
    except Timeout:
        # What has been read of it is lost, and where the next request begins with it.
        after_this_request(_end_connection)
        raise RequestError(
            400,
            f"expected a whole body within {_MOST_SECONDS} seconds, got a part of it: "
            "send fewer images a request",
        ) from None
    return body


def _end_connection(response: Response) -> Response:
    environ = request.environ

    @response.call_on_close
    def shut() -> None:
        with suppress(OSError, KeyError):
            environ["gunicorn.socket"].shutdown(SHUT_RDWR)

    return response


def discard_body(body: IO[bytes]) -> None:
    """Let a client that is still sending what an error refuses come to read the answer.

    Closing the connection on unread data resets it, and the answer may be lost with it.
    """
    with Timeout(_MOST_SECONDS, False), suppress(*_UNREADABLE):
        for _ in range(_MOST_DISCARDED_BYTES // _PIECE_BYTES):
            if not body.read(_PIECE_BYTES):
                break
