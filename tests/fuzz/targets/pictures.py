"""Image files of any kind, and their headers."""

import zlib

import numpy as np

from service.image_files import read_image_files
from service.image_headers import orientation, strip_jpeg, strip_png
from tests.fuzz.targets.expectations import unless_refused

_SHAPE = (28, 28)
_PNG = b"\x89PNG\r\n\x1a\n"


def read_picture(data: bytes) -> bool:
    """Read an image file; a PNG's checksums are made right, for no fuzzer would guess one."""
    if data.startswith(_PNG):
        data = _with_checksums(data)
    levels = unless_refused(lambda: read_image_files([data], _SHAPE))
    if levels is None:
        return False
    assert levels.dtype == np.uint8
    assert levels.shape == (1, *_SHAPE)
    return True


def read_header(data: bytes) -> bool:
    """Leave out of a PNG and of a JPEG what makes no pixels, Exif for one."""
    try:
        for strip in (strip_png, strip_jpeg):
            stripped, exif = strip(data)
            assert len(stripped) <= len(data)
            assert strip(stripped)[1] == b""
            assert 0 <= orientation(exif) < 2**16
    except ValueError:
        return False
    return True


def _with_checksums(png: bytes) -> bytes:
    pieces, start = [_PNG], len(_PNG)
    while start + 12 <= len(png):
        end = start + 8 + int.from_bytes(png[start : start + 4], "big")
        checksum = zlib.crc32(png[start + 4 : end]).to_bytes(4, "big")
        pieces += [png[start:end], checksum]
        start = end + 4
    return b"".join([*pieces, png[start:]])
