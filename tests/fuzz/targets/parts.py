"""Forms and compressed bodies."""

import zlib

from service.inputs.content_encoding import decompress
from service.inputs.multipart import read_form
from tests.fuzz.published import MOST_IMAGES
from tests.fuzz.targets.expectations import unless_refused

_MAX_BYTES = 2**16


def read_multipart(data: bytes) -> bool:
    """Read a boundary, which is the first line, and a body after it."""
    line, _, body = data.partition(b"\n")
    boundary = line.decode("latin-1") or None

    def read() -> tuple[list[bytes], list[tuple[str, str]]]:
        return read_form(body, boundary, MOST_IMAGES)

    form = unless_refused(read)
    if form is None:
        return False
    files, fields = form
    assert len(files) <= MOST_IMAGES
    assert sum(map(len, files)) + sum(len(value) for _, value in fields) < len(body)
    for content in files:
        # Werkzeug takes any line break.
        assert any(content + end + b"--" + line in body for end in (b"\r\n", b"\n", b"\r"))
    return True


def read_compressed(body: bytes) -> bool:
    """Decompress a body."""
    plain = unless_refused(lambda: decompress(body, "gzip", _MAX_BYTES))
    if plain is None:
        return False
    assert len(plain) <= _MAX_BYTES
    assert plain == zlib.decompress(body, zlib.MAX_WBITS | 32)
    return True
