"""Images as arrays of numbers in a request's JSON, read with no Python object for each number."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from simdjson import Array as JsonArray

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.json_body import quoted


class _Layout(NamedTuple):
    """A way to nest numbers: the shape of an image, and whether an array of images is around it."""

    image_shape: tuple[int, ...]
    batched: bool

    @property
    def depth(self) -> int:
        """How deep a number is nested."""
        return len(self.image_shape) + self.batched

    @property
    def arrays_per_image(self) -> int:
        """How many arrays an image consists of, the one around all images not counted."""
        return sum(math.prod(self.image_shape[:axis]) for axis in range(len(self.image_shape)))


class ImageReader:
    """Reads images of one shape; safe in any number of threads.

    What it reads is an image, as an array of its numbers or nested as its shape, an array of such
    images, or several images that lie apart.

    Args:
        input_shape: The shape of an image.
        max_batch: The most images in a request.

    Attributes:
        image_size: How many numbers an image has.
        max_batch: The most images in a request.
    """

    def __init__(self, input_shape: Sequence[int], max_batch: int) -> None:
        self.image_size = math.prod(input_shape)
        self.max_batch = max_batch
        self._shapes = dict.fromkeys([(self.image_size,), tuple(input_shape)])
        layouts = [_Layout(shape, batched) for shape in self._shapes for batched in (True, False)]
        self._deepest = len(input_shape) + 1
        self._layouts_by_depth = {
            depth: [layout for layout in layouts if layout.depth == depth]
            for depth in range(1, self._deepest + 1)
        }
        self._arrays_per_image = {layout: layout.arrays_per_image for layout in layouts}
        an_image = " or ".join("x".join(map(str, shape)) for shape in self._shapes) + " numbers"
        self._expected = {
            None: f"{an_image}, or an array of such images",
            True: f"an array of images, each {an_image}",
            False: an_image,
        }

    def read(
        self, value: Any, white: int, arrays: int, name: str = "pixels", batched: bool | None = None
    ) -> Array:
        """Read what a parsed request holds.

        Args:
            value: The images.
            white: What full ink is, 255 or 1; no ink is 0.
            arrays: How many opening brackets of the body may belong to them.
            name: What the request calls them, for messages.
            batched: Whether it must be an array of images (True) or one image (False).

        Returns:
            The network's own input, float32 `(batch, pixels)` in [0, 1].

        Raises:
            RequestError: These are no such images (422).
        """
        layout = self._layout(value, name, batched)
        images = list(value) if layout.batched else [value]
        return self._read([value], images, layout, white, arrays - layout.batched)

    def read_apart(self, images: Sequence[Any], white: int, arrays: int, name: str) -> Array:
        """Read images that lie apart in a parsed request, nested in one way.

        Args:
            images: At least one.
            white: As in `read`.
            arrays: As in `read`.
            name: As in `read`.

        Returns:
            As `read`.

        Raises:
            RequestError: These are no such images (422).
        """
        layout = self._layout(images[0], name, batched=False)
        return self._read(images, images, layout, white, arrays)

    def _read(
        self, parts: Sequence[Any], images: Sequence[Any], layout: _Layout, white: int, arrays: int
    ) -> Array:
        """Read images whose numbers are those of the parts; `arrays` are those in the images."""
        # Arrays of the right lengths, no array but these, and no element that is neither number
        # nor array: that is exact, and far cheaper than to look at every element.
        expected_arrays = len(images) * self._arrays_per_image[layout]
        try:
            numbers = [np.frombuffer(part.as_buffer(of_type="d")) for part in parts]
            regular = arrays == expected_arrays and _has_lengths(images, layout.image_shape)
        except (AttributeError, TypeError):  # no array, or one of what is no number
            regular = False
        if not regular and (fault := next(_faults(images, layout.image_shape, white), None)):
            raise RequestError(422, fault)
        whole = numbers[0] if len(numbers) == 1 else np.concatenate(numbers)
        levels = whole.reshape(-1, self.image_size)
        check_levels(levels, white)
        return scale_pixels(levels) if white == MAX_PIXEL else levels.astype(np.float32)

    def check_batch(self, images: int) -> None:
        """Check how many images a request has.

        Raises:
            RequestError: None, or too many (422).
        """
        if images == 0:
            raise RequestError(422, "expected at least one image, got none")
        if images > self.max_batch:
            raise RequestError(
                422, f"expected at most {self.max_batch} images a request, got {images}"
            )

    def _layout(self, images: Any, name: str, batched: bool | None) -> _Layout:
        """Choose the layout that is meant, by how deep the first element is nested."""
        lengths: list[int] = []
        value = images
        while isinstance(value, JsonArray) and len(lengths) <= self._deepest:
            lengths.append(len(value))
            value = value[0] if lengths[-1] else None
        if lengths == [0]:
            raise RequestError(422, f"expected at least one image, got an empty array of {name}")
        layouts = self._layouts_by_depth.get(len(lengths), [])
        if batched is not None:
            layouts = [layout for layout in layouts if layout.batched == batched]
        alone = batched and tuple(lengths) in self._shapes
        if not layouts or (alone and tuple(lengths[1:]) not in self._shapes):
            got = f"arrays {len(lengths)} deep" if lengths else quoted(images)
            if alone:
                got = "one image: put it into an array"
            raise RequestError(422, f"expected {name} to be {self._expected[batched]}, got {got}")
        # A batch of flat images and one nested image are equally deep: their rows tell them apart.
        layout = min(layouts, key=lambda x: abs(x.image_shape[-1] - lengths[-1]))
        if layout.batched:
            self.check_batch(lengths[0])
        return layout


def check_levels(levels: Array, white: int) -> None:
    """Check that grey levels, `(batch, pixels)`, lie in the range and make use of it.

    Raises:
        RequestError: They do not (422).
    """
    brightest = np.maximum.reduce(levels, axis=1)
    lowest, highest = np.minimum.reduce(levels, axis=None), np.maximum.reduce(brightest)
    if not (lowest >= 0 and highest <= white):  # also true of NaN
        image, pixel = np.argwhere(~((levels >= 0) & (levels <= white)))[0]
        level = float(levels[image, pixel])
        got = repr(level).removesuffix(".0")
        remedy = f": divide grey levels by {MAX_PIXEL}" if level > white == 1 else ""
        raise RequestError(
            422, f"expected numbers from 0 to {white}, got {got} in image {image}{remedy}"
        )
    if white == MAX_PIXEL and np.minimum.reduce(brightest) <= 1:
        for image, level in enumerate(brightest.tolist()):
            if 0 < level <= 1:
                raise RequestError(
                    422,
                    f"expected numbers from 0 to {white}, got only numbers from 0 to 1 in image "
                    f"{image}: send 0 to {white}, or say that the range is 0 to 1",
                )


def _has_lengths(arrays: Sequence[Any], shape: Sequence[int]) -> bool:
    """Tell whether arrays and the arrays in them have the lengths of a shape.

    Raises:
        TypeError: What should be an array has no length.
    """
    *outer, innermost = shape
    for size in outer:
        if set(map(len, arrays)) != {size}:
            return False
        arrays = list(chain.from_iterable(arrays))
    return set(map(len, arrays)) == {innermost}


def _faults(images: Sequence[Any], image_shape: Sequence[int], white: int) -> Iterator[str]:
    for index, image in enumerate(images):
        yield from _array_faults(image, image_shape, white, "an image", f"image {index}")


def _array_faults(
    value: Any, shape: Sequence[int], white: int, kind: str, where: str
) -> Iterator[str]:
    """Yield what is wrong in an array that should be of a shape."""
    size, *inner = shape
    if not isinstance(value, JsonArray) or len(value) != size:
        got = len(value) if isinstance(value, JsonArray) else quoted(value)
        yield f"expected {size} {'rows' if inner else 'numbers'} {kind}, got {got} in {where}"
        return
    for index, element in enumerate(value):
        if inner:
            yield from _array_faults(element, inner, white, "a row", f"row {index} of {where}")
        elif not isinstance(element, int | float) or isinstance(element, bool):
            yield f"expected numbers from 0 to {white}, got {quoted(element)} in {where}"
