"""What must hold of everything that is accepted, and of every refusal."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from nncore.types import Array
from service.errors import RequestError

T = TypeVar("T")

_LONGEST_MESSAGE = 1000
_STATUSES = (400, 413, 415, 422)


def unless_refused(read: Callable[[], T]) -> T | None:
    """Give what is read, or None where it is refused with an error that a client can read."""
    try:
        return read()
    except RequestError as refusal:
        check_message(refusal.detail)
        status = refusal.status
    assert status in _STATUSES, status
    return None


def check_message(message: str) -> None:
    """Check that a message is one line of characters that a terminal or a log can show."""
    assert message.isprintable(), f"not a line: {message!r:.2000}"
    assert len(message) <= _LONGEST_MESSAGE, f"{len(message)} characters: {message!r:.2000}"


def check_images(images: Array, expected: ArrayLike) -> None:
    """Check a network's input, float32 `(batch, pixels)` in [0, 1], against another reader's."""
    assert images.dtype == np.float32
    assert images.ndim == 2
    assert 0 <= images.min() <= images.max() <= 1
    levels = np.asarray(expected, float).reshape(len(images), -1)
    np.testing.assert_allclose(images, levels, rtol=1e-6, atol=1e-44)
