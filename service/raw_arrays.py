"""Images as arrays of bytes: raw grey levels, or a `.npy` file, which is never unpickled."""

import math
import re
from collections.abc import Sequence

import numpy as np

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.image_arrays import ImageReader, check_levels

_MAGIC = b"\x93NUMPY"
_LENGTH_SIZES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # by format version
# Of the header; NumPy's own have 118 bytes.
_LONGEST_HEADER = 1024
# As Python writes them: no other white space, no number that begins with a 0, no tuple of one
# number without a comma.
_GAP = r"[ \t\n]*"
_SIZE = r"(?:0|[1-9]\d{0,18})"
_SHAPE = rf"\({_GAP}((?:{_SIZE}{_GAP},{_GAP})+{_SIZE}?{_GAP}|)\)"
_MEMBER = (
    rf"{_GAP}(?:'descr'{_GAP}:{_GAP}'([^']*)'|'fortran_order'{_GAP}:{_GAP}(True|False)"
    rf"|'shape'{_GAP}:{_GAP}{_SHAPE}){_GAP}"
)
_HEADER = re.compile(rf"\{{{_MEMBER},{_MEMBER},{_MEMBER}(?:,{_GAP})?\}}{_GAP}", re.ASCII)
_DTYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248])", re.ASCII)


def read_raw(body: bytes, images: ImageReader, white: int = MAX_PIXEL) -> Array:
    """Read grey levels of one byte each, image after image.

    Args:
        body: uint8, as many as one or more images have.
        images: Knows the model's images.
        white: What full ink is, 255 or 1; no ink is 0.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: These are no such images (422).
    """
    count, rest = divmod(len(body), images.image_size)
    if rest or not body:
        raise RequestError(
            422,
            f"expected {images.image_size} bytes an image, one a pixel, got {len(body)} in all",
        )
    images.check_batch(count)
    return _scale(np.frombuffer(body, np.uint8).reshape(count, -1), white)


def read_npy(
    body: bytes, images: ImageReader, image_shape: Sequence[int], white: int = MAX_PIXEL
) -> Array:
    """Read the array of a `.npy` file: an image or a batch, flat or of the model's shape.

    Args:
        body: The file, of format version 1, 2 or 3.
        images: Knows the model's images.
        image_shape: Their shape.
        white: What full ink is, 255 or 1; no ink is 0. In an array of bool it is True.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: It is no such file (400), or not of such images (422).
    """
    dtype, fortran_order, shape, start = _read_header(body)
    flat = (images.image_size,)
    if shape in (flat, tuple(image_shape)):
        count = 1
    elif shape[1:] in (flat, tuple(image_shape)):
        count = shape[0]
    else:
        expected = " or ".join(str(one) for one in dict.fromkeys([flat, tuple(image_shape)]))
        raise RequestError(
            422, f"expected an array of shape {expected}, or a batch of such, got {shape!s:.100}"
        )
    images.check_batch(count)
    size = math.prod(shape) * dtype.itemsize
    if len(body) - start != size:
        raise RequestError(
            422,
            f"expected {size} bytes of {dtype} for shape {shape}, got {len(body) - start}",
        )
    array = np.frombuffer(body, dtype, offset=start)
    levels = array.reshape(shape, order="F" if fortran_order else "C").reshape(count, -1)
    return _scale(levels, 1 if dtype == np.bool_ else white)


def _read_header(body: bytes) -> tuple[np.dtype, bool, tuple[int, ...], int]:
    """Give dtype, Fortran order, shape, and where the data begin."""
    if not body.startswith(_MAGIC):
        raise RequestError(400, f"expected a .npy file, got one that begins with {body[:8]!r}")
    version = tuple(body[6:8])
    if version not in _LENGTH_SIZES:
        got = ".".join(map(str, version)) or "none"
        raise RequestError(400, f"expected .npy format version 1.0, 2.0 or 3.0, got {got}")
    start = 8 + _LENGTH_SIZES[version]
    length = int.from_bytes(body[8:start], "little")
    header = _HEADER.fullmatch(
        body[start : start + min(length, _LONGEST_HEADER)].decode(errors="replace")
    )
    if length > _LONGEST_HEADER or header is None:
        raise RequestError(
            400,
            "expected a .npy header of 'descr', 'fortran_order' and 'shape' of a plain array, got "
            + ("a longer one" if length > _LONGEST_HEADER else "another one"),
        )
    # Three members in any order, three groups each.
    descr, order, shape = (
        [group for group in header.groups()[kind::3] if group is not None] for kind in range(3)
    )
    if not len(descr) == len(order) == len(shape) == 1:
        raise RequestError(400, "expected each member of the .npy header once, got one twice")
    if not _DTYPE.fullmatch(descr[0]):
        raise RequestError(
            422,
            "expected a .npy array of bool, integers, or floats of 16, 32 or 64 bits, "
            f"got dtype {descr[0]!r:.50}",
        )
    sizes = tuple(int(size) for size in re.findall(r"\d+", shape[0]))
    return np.dtype(descr[0]), order[0] == "True", sizes, start + length


def _scale(levels: Array, white: int) -> Array:
    check_levels(levels, white)
    return scale_pixels(levels) if white == MAX_PIXEL else levels.astype(np.float32)
