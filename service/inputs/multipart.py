"""Files and fields of a `multipart/form-data` body."""

from io import BytesIO
from typing import Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from service.errors import RequestError, invalid

_MAX_FIELDS = 16
# Bounds the headers of a part. With Werkzeug's default of 64 KiB, 16 MB of short headers in 1024
# parts take 5 s and 560 MB.
_BUFFER_BYTES = 2048


def read_form(
    body: bytes, boundary: str | None, max_files: int
) -> tuple[list[bytes], list[tuple[str, str]]]:
    """Return the contents of the files, and names and values of the fields, in order.

    Args:
        body: `multipart/form-data`.
        boundary: Parameter of the header Content-Type.
        max_files: The most files in a form.

    Raises:
        RequestError: The body is malformed (400), or has too many files (422).
    """
    files: list[BytesIO] = []

    def open_file(*_args: Any, **_headers: Any) -> BytesIO:
        if len(files) == max_files:
            raise invalid(f"at most {max_files} files", "more")
        files.append(BytesIO())
        return files[-1]

    parser = MultiPartParser(
        open_file,
        max_form_memory_size=2 * _BUFFER_BYTES,
        buffer_size=_BUFFER_BYTES,
        max_form_parts=max_files + _MAX_FIELDS,
    )
    try:
        fields, _ = parser.parse(BytesIO(body), (boundary or "").encode("ascii"), len(body))
    except (ValueError, RequestEntityTooLarge):
        raise RequestError(
            400,
            "malformed multipart/form-data: expected a boundary in Content-Type, at most "
            f"{_MAX_FIELDS} fields, a Content-Disposition in headers of at most {_BUFFER_BYTES} "
            "bytes in each part, and a closing boundary, got other data",
        ) from None
    return [file.getvalue() for file in files], list(fields.items(multi=True))
