"""The head of an ordinary POST, read for a refusal; what is not refused, gunicorn reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HEAD = re.compile(
    rb"POST (/[\w/.:~-]{0,1000})(?:\?[\w/.:~=&%+,-]{0,1000})? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]+:[ -~]*\r\n)+)\r\n",
    re.ASCII,
)
_LENGTH = re.compile(r"[0-9]{1,12}")
# What these ask for takes more than an answer.
_UNUSUAL = frozenset({"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE", "HTTP_TRAILER"})


@dataclass(frozen=True, slots=True)
class Head:
    """What a refusal tells of a request.

    Attributes:
        environ: Method, path, client and fields, as PEP 3333 has them.
        size: The bytes of the head.
        length: The bytes of the body.
    """

    environ: WSGIEnvironment
    size: int
    length: int


def read_head(data: bytes, client: str) -> Head | None:
    """Read the head that the data begins with; None unless it is whole and in no way unusual.

    Args:
        data: What has arrived.
        client: Its sender's address.
    """
    match = _HEAD.match(data)
    if match is None:
        return None
    path, fields = match.groups()
    lines = fields.decode("ascii").splitlines()
    environ = {
        "HTTP_" + name.upper().replace("-", "_"): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = environ.get("HTTP_CONTENT_LENGTH", "")
    lasts = environ.get("HTTP_CONNECTION", "keep-alive").lower() == "keep-alive"
    unusual = len(environ) < len(lines) or not _UNUSUAL.isdisjoint(environ)
    if unusual or not lasts or not _LENGTH.fullmatch(length):
        return None
    environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": path.decode("ascii"), "REMOTE_ADDR": client}
    return Head(environ, match.end(), int(length))
