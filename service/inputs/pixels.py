"""Images as arrays of numbers: their shape, range and scale."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from simdjson import Object as JsonObject

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.errors import invalid
from service.inputs.json_document import quoted, read_json, read_numbers, shape_of

T = TypeVar("T")

# Commas, brackets and colons that a request may have beside those of its images.
_MORE_STRUCTURE = 10_000


class PixelReader:
    """Reads images of one shape from JSON; safe in any number of threads.

    An image is an array of its numbers, flat or nested as its shape.

    Args:
        input_shape: The shape of an image.
        max_batch: The most images in a request.

    Attributes:
        image_size: How many numbers an image has.
        image_shapes: The shapes that an image may have, the model's own first.
        max_batch: The most images in a request.
    """

    def __init__(self, input_shape: Sequence[int], max_batch: int) -> None:
        self.image_size = math.prod(input_shape)
        self.image_shapes = tuple(dict.fromkeys([tuple(input_shape), (self.image_size,)]))
        self.max_batch = max_batch
        self._max_depth = len(input_shape) + 2  # one more than a batch has
        arrays = sum(math.prod(input_shape[:axis]) for axis in range(len(input_shape)))
        # A comma for each number, the brackets of the arrays, and an object around each image.
        self._max_structure = (max_batch + 1) * (self.image_size + 2 * arrays + 4) + _MORE_STRUCTURE
        shapes = " or ".join("x".join(map(str, shape)) for shape in self.image_shapes)
        self._image = f"{shapes} numbers"
        self._too_large = f"expected at most {max_batch} images per request, got more numbers"

    def read_json(self, body: bytes, read: Callable[[JsonObject, int], T]) -> T:
        """Return what a function reads from a request of at most `max_batch` images."""
        return read_json(body, read, max_structure=self._max_structure, too_large=self._too_large)

    def read(
        self, value: Any, max_value: int, brackets: int, name: str, *, batch_only: bool = False
    ) -> Array:
        """Return the images of a JSON value, float32 `(batch, pixels)` in [0, 1].

        Args:
            value: An image, an array of images, or a list of such arrays, one per image.
            max_value: The largest value of a pixel, 255 or 1.
            brackets: How many opening brackets of the request can belong to the images.
            name: The request's name for them, for messages.
            batch_only: Whether a single image, not in an array, is an error.
        """
        shape = shape_of(value, self._max_depth)
        if shape[1:] in self.image_shapes:
            images = shape[0]
        elif shape in self.image_shapes and not batch_only:
            images = 1
        else:
            expected = f"an array of images, each {self._image}"
            if not batch_only:
                expected = f"{self._image}, or an array of such images"
            got = f"{'x'.join(map(str, shape))} numbers" if len(shape) > 1 else quoted(value)
            if shape in self.image_shapes:
                got = "one image: put it into an array"
            raise invalid(f"{name} to be {expected}", got)
        self.check_batch(images)
        if isinstance(value, list):
            numbers = read_numbers(value, shape[1:], brackets, name)
        else:
            numbers = read_numbers([value], shape, brackets, name)
        return scale_levels(numbers.reshape(images, -1), max_value)

    def check_batch(self, images: int) -> None:
        """Raise an error (422) unless a request has 1 to `max_batch` images."""
        if images == 0:
            raise invalid("at least one image", "none")
        if images > self.max_batch:
            raise invalid(f"at most {self.max_batch} images per request", str(images))


def scale_levels(levels: Array, max_value: int) -> Array:
    """Return grey levels, `(batch, pixels)`, as float32 in [0, 1], without a copy if they are that.

    Args:
        levels: Any real dtype.
        max_value: The largest value of a pixel, 255 or 1. In the range 0 to 255, an image that
            has levels from 0 to 1 only is an error, unless it is blank.
    """
    brightest = np.maximum.reduce(levels, axis=1).tolist()
    # The minimum of numbers with a NaN is NaN.
    if not (np.minimum.reduce(levels, axis=None) >= 0 and max(brightest) <= max_value):
        image, pixel = np.argwhere(~((levels >= 0) & (levels <= max_value)))[0]
        level = float(levels[image, pixel])
        got = repr(level).removesuffix(".0")
        remedy = f": divide grey levels by {MAX_PIXEL}" if level > max_value == 1 else ""
        raise invalid(f"numbers from 0 to {max_value}", f"{got} in image {image}{remedy}")
    if max_value == 1:
        return levels.astype(np.float32, copy=False)
    for image, level in enumerate(brightest):
        if 0 < level <= 1:
            remedy = f"multiply them by {MAX_PIXEL}, or declare the range 0 to 1"
            got = f"only numbers from 0 to 1 in image {image}: {remedy}"
            raise invalid(f"numbers from 0 to {MAX_PIXEL}", got)
    return scale_pixels(levels)
