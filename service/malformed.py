"""What gunicorn refuses itself, since it is no sound HTTP, is answered as every other error is."""

import secrets
import socket

from gunicorn import util

from service.error_answers import write_error
from service.observation import SAFE_HEADERS
from service.raw_answers import write_answer


def answer_malformed(client: socket.socket, status: int, reason: str, message: str) -> None:
    """Write an error; it stands in for `gunicorn.util.write_error`.

    Args:
        client: Its connection, which ends with this.
        status: Of the answer.
        reason: The status in words.
        message: What is wrong, if that is the client's fault.
    """
    request_id = secrets.token_hex(16)
    body, content_type = write_error("", status, message or reason, request_id)
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        *SAFE_HEADERS,
    ]
    answer = write_answer(f"{status} {reason}", headers, body, close=True)
    util.write_nonblock(client, answer)
