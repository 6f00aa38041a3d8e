"""Images as arrays of numbers: their shape, their range, and how they are scaled."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from simdjson import Object as JsonObject

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.errors import RequestError
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
        self._too_large = f"expected at most {max_batch} images a request, got more numbers"

    def read_json(self, body: bytes, read: Callable[[JsonObject, int], T]) -> T:
        """Return what a function reads from a request; see `json_document.read_json`.

        Raises:
            RequestError: As there; too large is a body of more numbers than `max_batch` images.
        """
        return read_json(body, read, max_structure=self._max_structure, too_large=self._too_large)

    def read(
        self, value: Any, max_value: int, brackets: int, name: str, *, batch_only: bool = False
    ) -> Array:
        """Return the images of a JSON value, float32 `(batch, pixels)` in [0, 1].

        Args:
            value: An image, an array of images, or a list of such arrays, one per image.
            max_value: The value of full ink, 255 or 1; no ink is 0.
            brackets: How many opening brackets of the request can belong to the images.
            name: The request's name for them, for messages.
            batch_only: Whether a single image, not in an array, is an error.

        Raises:
            RequestError: These are no such images, or too many (422).
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
            raise RequestError(422, f"expected {name} to be {expected}, got {got}")
        self.check_batch(images)
        if isinstance(value, list):
            numbers = read_numbers(value, shape[1:], brackets, name)
        else:
            numbers = read_numbers([value], shape, brackets, name)
        return scale_levels(numbers.reshape(images, -1), max_value)

    def check_batch(self, images: int) -> None:
        """Check how many images a request has.

        Raises:
            RequestError: None, or more than `max_batch` (422).
        """
        if images == 0:
            raise RequestError(422, "expected at least one image, got none")
        if images > self.max_batch:
            raise RequestError(
                422, f"expected at most {self.max_batch} images a request, got {images}"
            )


def scale_levels(levels: Array, max_value: int) -> Array:
    """Return grey levels, `(batch, pixels)`, as float32 in [0, 1], without a copy if they are that.

    Args:
        levels: Any real dtype.
        max_value: The value of full ink, 255 or 1; no ink is 0.

    Raises:
        RequestError: A level is out of range, or an image in the range 0 to 255 has levels from 0
            to 1 only (422).
    """
    brightest = np.maximum.reduce(levels, axis=1).tolist()
    # The minimum of numbers with a NaN is NaN.
    if not (np.minimum.reduce(levels, axis=None) >= 0 and max(brightest) <= max_value):
        image, pixel = np.argwhere(~((levels >= 0) & (levels <= max_value)))[0]
        level = float(levels[image, pixel])
        got = repr(level).removesuffix(".0")
        remedy = f": divide grey levels by {MAX_PIXEL}" if level > max_value == 1 else ""
        raise RequestError(
            422, f"expected numbers from 0 to {max_value}, got {got} in image {image}{remedy}"
        )
    if max_value == 1:
        return levels.astype(np.float32, copy=False)
    for image, level in enumerate(brightest):
        if 0 < level <= 1:
            raise RequestError(
                422,
                f"expected numbers from 0 to {MAX_PIXEL}, got only numbers from 0 to 1 in image "
                f"{image}: multiply them by {MAX_PIXEL}, or declare the range 0 to 1",
            )
    return scale_pixels(levels)
