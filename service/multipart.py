"""Files and fields of a `multipart/form-data` body, all in memory."""

import re
from typing import NamedTuple

from werkzeug.http import parse_options_header

from service.errors import RequestError

_LONGEST_BOUNDARY = 200  # RFC 2046 has 70, of which not every client has heard
_LONGEST_HEAD = 4096
_MOST_FIELDS = 16
_REST_OF_LINE = re.compile(rb"[ \t]*\r\n")


class Form(NamedTuple):
    """What a form holds.

    Attributes:
        files: The contents, in order.
        fields: Names and values of what is no file, in order.
    """

    files: list[bytes]
    fields: list[tuple[str, bytes]]


def read_form(body: bytes, boundary: str | None, most_files: int) -> Form:
    """Read a body.

    Args:
        body: The parts.
        boundary: What separates them, from the header Content-Type.
        most_files: How many files there may be.

    Raises:
        RequestError: The body is malformed (400), or there are too many parts (422).
    """
    if not boundary or len(boundary) > _LONGEST_BOUNDARY or not boundary.isascii():
        raise RequestError(
            400,
            f"expected a boundary of 1 to {_LONGEST_BOUNDARY} characters in Content-Type, "
            f"got {f'{boundary!r:.100}' if boundary else 'none'}",
        )
    form = Form([], [])
    most_parts = most_files + _MOST_FIELDS
    # At most those, the preamble, the end, and one that is too many.
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode(), most_parts + 2)
    for index, part in enumerate(parts):
        if part.startswith(b"--"):
            return form
        if index == most_parts:
            got = "more parts"
            break
        options, content = _read_part(part, index)
        if "filename" not in options:
            form.fields.append((options.get("name", ""), content))
        elif len(form.files) == most_files:
            got = "more files"
            break
        else:
            form.files.append(content)
    else:
        raise _malformed("a closing boundary", "none")
    raise RequestError(422, f"expected at most {most_files} images a request, got {got}")


def _read_part(part: bytes, index: int) -> tuple[dict[str, str], bytes]:
    """Give the options of a part's Content-Disposition, and its content."""
    line = _REST_OF_LINE.match(part)
    # The line's own end is the first half of the empty line of a part without headers.
    end = part.find(b"\r\n\r\n", line.end() - 2, line.end() + _LONGEST_HEAD) if line else -1
    if line is None or end < 0:
        got = "a longer one or none"
        raise _malformed(f"a head of at most {_LONGEST_HEAD} bytes in part {index}", got)
    for header in part[line.end() : end].decode(errors="replace").split("\r\n"):
        name, _, value = header.partition(":")
        if name.strip().lower() == "content-disposition":
            disposition, options = parse_options_header(value.strip())
            if disposition == "form-data":
                return options, part[end + 4 :]
    raise _malformed(f"Content-Disposition: form-data in part {index}", "none")


def _malformed(expected: str, got: str) -> RequestError:
    return RequestError(400, f"malformed multipart/form-data: expected {expected}, got {got}")
