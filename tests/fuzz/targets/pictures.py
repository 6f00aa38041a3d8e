"""Picture files of any format."""

import zlib
from functools import partial

import numpy as np

from service.inputs.pictures import read_pictures
from tests.fuzz.targets.expectations import unless_refused

_SHAPE = (28, 28)
_PNG = b"\x89PNG\r\n\x1a\n"


def read_picture(data: bytes) -> bool:
    """Read a picture file; a PNG gets correct checksums, which a fuzzer does not find."""
    if data.startswith(_PNG):
        data = _with_checksums(data)
    accepted = False
    for recenter in (True, False):
        levels = unless_refused(partial(read_pictures, [data], _SHAPE, recenter=recenter))
        if levels is not None:
            accepted = True
            assert levels.dtype == np.uint8
            assert levels.shape == (1, *_SHAPE)
    return accepted


def _with_checksums(png: bytes) -> bytes:
    pieces, start = [_PNG], len(_PNG)
    while start + 12 <= len(png):
        end = start + 8 + int.from_bytes(png[start : start + 4], "big")
        checksum = zlib.crc32(png[start + 4 : end]).to_bytes(4, "big")
        pieces += [png[start:end], checksum]
        start = end + 4
    return b"".join([*pieces, png[start:]])
