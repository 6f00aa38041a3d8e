"""How data outside the network becomes arrays inside it: pixels scaled, labels one-hot."""

import numpy as np
from numpy.typing import DTypeLike

from nncore.types import Array

MAX_PIXEL = 255


def scale_pixels(pixels: Array) -> Array:
    """Bring grey levels from 0..255 to the network's own input, float32 in [0, 1].

    Args:
        pixels: Any shape, any real dtype.

    Returns:
        float32 of the same shape.
    """
    return np.divide(pixels, MAX_PIXEL, dtype=np.float32, casting="same_kind")


def one_hot_encode(x: Array, num_classes: int = 10, dtype: DTypeLike = np.float64) -> Array:
    """Turn labels into one-hot columns; an array that is not one-dimensional passes through.

    Args:
        x: Labels, `(batch,)` integers in 0 .. num_classes - 1; or targets already encoded,
            `(num_classes, batch)`.
        num_classes: How many rows.
        dtype: Of the encoded labels.

    Returns:
        `(num_classes, batch)`, a single 1 in each column.

    Raises:
        TypeError: The labels are not integers.
        ValueError: A label lies outside the classes.
    """
    if x.ndim != 1:
        return x
    if not np.issubdtype(x.dtype, np.integer):
        raise TypeError(f"expected integer labels, got {x.dtype}")
    outside = (x < 0) | (x >= num_classes)
    if outside.any():
        at = int(np.argmax(outside))
        raise ValueError(f"expected labels in 0..{num_classes - 1}, got {x[at]} at index {at}")
    y = np.zeros((num_classes, x.shape[0]), dtype=dtype)
    y[x, np.arange(x.shape[0])] = 1
    return y
