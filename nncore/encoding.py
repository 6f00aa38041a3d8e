"""Encodings of the network's inputs and targets: scaled pixels and one-hot labels."""

import numpy as np
from numpy.typing import DTypeLike

from nncore.types import Array

MAX_PIXEL = 255


def scale_pixels(pixels: Array) -> Array:
    """Scale grey levels 0..255, in any shape, to the network's input, float32 in [0, 1]."""
    return np.divide(pixels, MAX_PIXEL, dtype=np.float32, casting="same_kind")


def one_hot_encode(x: Array, num_classes: int = 10, dtype: DTypeLike = np.float64) -> Array:
    """Encode labels as one-hot columns; an array that is not one-dimensional is returned as it is.

    Args:
        x: Labels, `(batch,)` integers in 0 .. num_classes - 1; or encoded targets,
            `(num_classes, batch)`.
        num_classes: The number of rows.
        dtype: The dtype of the encoded labels.

    Returns:
        `(num_classes, batch)`, a single 1 in each column.

    Raises:
        TypeError: The labels are not integers.
        ValueError: A label lies outside the classes.
    """
    if x.ndim != 1:
        return x
    check_labels(x, num_classes)
    y = np.zeros((num_classes, x.shape[0]), dtype=dtype)
    y[x, np.arange(x.shape[0])] = 1
    return y


def check_labels(labels: Array, num_classes: int) -> None:
    """Check labels, `(batch,)`.

    Raises:
        TypeError: The labels are not integers.
        ValueError: A label lies outside the classes.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"expected integer labels, got {labels.dtype}")
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        first = int(np.argmax(outside))
        raise ValueError(
            f"expected labels in 0..{num_classes - 1}, got {labels[first]} at index {first}"
        )
