"""Images as arrays of bytes: raw grey levels, or a `.npy` file.

`images` knows the size of an image and of a batch; `max_value` is the largest level, 255 or 1.
"""

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.lib import format as npy_format

from nncore import MAX_PIXEL
from nncore.types import Array
from service.errors import RequestError
from service.inputs.pixels import PixelReader, scale_levels

_MAX_HEADER_BYTES = 1024  # NumPy writes 128.
# Version 3.0 differs from 2.0 only in field names, which these arrays do not have.
_HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,
}


def read_raw(body: bytes, images: PixelReader, max_value: int = MAX_PIXEL) -> Array:
    """Return the network's input, float32 `(batch, pixels)` in [0, 1], of one byte per pixel.

    Raises:
        RequestError: The size or a grey level is wrong (422).
    """
    count, rest = divmod(len(body), images.image_size)
    if rest or not body:
        raise RequestError(
            422,
            f"expected {images.image_size} bytes per image, one per pixel, got {len(body)} in all",
        )
    images.check_batch(count)
    return scale_levels(np.frombuffer(body, np.uint8).reshape(count, -1), max_value)


def read_npy(
    body: bytes, images: PixelReader, image_shape: Sequence[int], max_value: int = MAX_PIXEL
) -> Array:
    """Return the network's input, float32 `(batch, pixels)` in [0, 1], of a `.npy` file.

    The file holds an image or a batch, each image flat or of its shape; True in an array of bool is
    1, whatever `max_value` is. Nothing is unpickled.

    Raises:
        RequestError: This is not a `.npy` file (400); its dtype, shape, size or a grey level is
            wrong (422).
    """
    file = BytesIO(body[:_MAX_HEADER_BYTES])
    try:
        read_header = _HEADER_READERS[npy_format.read_magic(file)]
        shape, fortran_order, dtype = read_header(file)
    except Exception:  # noqa: BLE001 - untrusted text makes ast.literal_eval and np.dtype raise any
        raise RequestError(
            400,
            "expected a .npy file of version 1.0, 2.0 or 3.0 with a header of 'descr', "
            f"'fortran_order' and 'shape' in its first {_MAX_HEADER_BYTES} bytes, "
            f"got one that begins with {body[:8]!r}",
        ) from None
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise RequestError(
            422,
            "expected a .npy array of bool, integers, or floats of 16, 32 or 64 bits, "
            f"got dtype {dtype!s:.50}",
        )
    shapes = dict.fromkeys([(images.image_size,), tuple(image_shape)])
    if shape not in shapes and shape[1:] not in shapes:
        raise RequestError(
            422,
            f"expected an array of shape {' or '.join(map(str, shapes))}, or a batch of such, "
            f"got {shape!s:.100}",
        )
    expected, got = math.prod(shape) * dtype.itemsize, len(body) - file.tell()
    if got != expected:
        raise RequestError(
            422, f"expected {expected!s:.50} bytes of {dtype} for shape {shape!s:.100}, got {got}"
        )
    count = 1 if shape in shapes else shape[0]
    images.check_batch(count)
    array = np.frombuffer(body, dtype, offset=file.tell())
    levels = array.reshape(shape, order="F" if fortran_order else "C").reshape(count, -1)
    return scale_levels(levels, 1 if dtype == np.bool_ else max_value)
