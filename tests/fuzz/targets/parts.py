"""What bodies are wrapped in: the parts of a form, and compression."""

import zlib

from service.multipart import Form, read_form
from service.protocols.content_encoding import decompress
from tests.fuzz.published import MOST_IMAGES
from tests.fuzz.targets.expectations import unless_refused

_MOST_BYTES = 2**16


def read_multipart(data: bytes) -> bool:
    """Read a boundary, which is the first line, and a body after it."""
    line, _, body = data.partition(b"\n")
    boundary = line.decode("latin-1") or None

    def read() -> Form:
        return read_form(body, boundary, MOST_IMAGES)

    form = unless_refused(read)
    if form is None:
        return False
    contents = [*form.files, *(value for _, value in form.fields)]
    assert len(form.files) <= MOST_IMAGES
    assert sum(map(len, contents)) < len(body)
    for content in contents:
        assert content + b"\r\n--" + line in body
        assert b"\r\n--" + line not in content
    return True


def read_compressed(body: bytes) -> bool:
    """Decompress a body."""
    plain = unless_refused(lambda: decompress(body, _MOST_BYTES))
    if plain is None:
        return False
    assert len(plain) <= _MOST_BYTES
    assert plain == zlib.decompress(body, zlib.MAX_WBITS | 32)
    return True
