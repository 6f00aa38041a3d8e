"""Images as arrays of bytes: one byte per pixel, or a `.npy` file.

Both return float32 `(batch, pixels)` in [0, 1]; `max_value` is the largest value of a pixel, 255
or 1.
"""

from io import BytesIO

import numpy as np
from numpy.lib import format as npy_format

from nncore import MAX_PIXEL
from nncore.types import Array
from service.errors import RequestError, invalid
from service.inputs.pixels import PixelReader, scale_levels

_MAX_HEADER_BYTES = 1024  # NumPy writes 128.


def read_raw(body: bytes, images: PixelReader, max_value: int = MAX_PIXEL) -> Array:
    """Return the images of a body with one byte per pixel."""
    count, rest = divmod(len(body), images.image_size)
    if rest:
        raise invalid(f"{images.image_size} bytes per image", f"{len(body)} in all")
    images.check_batch(count)
    return scale_levels(np.frombuffer(body, np.uint8).reshape(count, -1), max_value)


def read_npy(body: bytes, images: PixelReader, max_value: int = MAX_PIXEL) -> Array:
    """Return the images of a `.npy` file.

    The file holds an image or a batch, each image flat or of its shape; True in an array of bool is
    1, whatever `max_value` is. Nothing is unpickled.
    """
    file = BytesIO(body)
    try:
        with np.errstate(invalid="ignore"):  # a huge shape makes numpy warn before it raises
            array = npy_format.read_array(
                file, allow_pickle=False, max_header_size=_MAX_HEADER_BYTES
            )
    except Exception:  # noqa: BLE001 - untrusted text makes ast.literal_eval and np.dtype raise any
        expected = f"a complete .npy file with a header of at most {_MAX_HEADER_BYTES} bytes"
        got = f"one that begins with {body[:8]!r}"
        raise RequestError(400, f"expected {expected}, got {got}") from None
    if file.read(1):
        raise invalid(f"{array.nbytes} bytes of data after the header", "more")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        expected = "a .npy array of bool, integers, or floats of 16, 32 or 64 bits"
        raise invalid(expected, f"dtype {array.dtype!s:.50}")
    if array.shape not in images.image_shapes and array.shape[1:] not in images.image_shapes:
        shapes = " or ".join(map(str, images.image_shapes))
        raise invalid(f"an array of shape {shapes}, or a batch of such", f"{array.shape!s:.100}")
    count = 1 if array.shape in images.image_shapes else array.shape[0]
    images.check_batch(count)
    return scale_levels(array.reshape(count, -1), 1 if array.dtype == np.bool_ else max_value)
