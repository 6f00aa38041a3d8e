"""The body of a request to an array of images, with no Python object for each number."""

import codecs
import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import orjson
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject
from simdjson import Parser

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.errors import RequestError

_MEMBERS = ("pixels", "range")
_LONGEST_QUOTE = 100
_NUMBER = re.compile(r"-?(?:NaN|Infinity|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")


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


class ImageDecoder:
    """Decodes `{"pixels": P, "range": R}`; safe in any number of threads.

    P is an image, as an array of its numbers or nested as its shape, or an array of such images.
    R says what black and white are: [0, 255], its default, or [0, 1].

    Args:
        input_shape: The shape of an image.
        max_batch: The most images in a request.
    """

    def __init__(self, input_shape: Sequence[int], max_batch: int) -> None:
        self._image_size = math.prod(input_shape)
        self._max_batch = max_batch
        shapes = dict.fromkeys([(self._image_size,), tuple(input_shape)])
        layouts = [_Layout(shape, batched) for shape in shapes for batched in (True, False)]
        self._deepest = len(input_shape) + 1
        self._layouts_by_depth = {
            depth: [layout for layout in layouts if layout.depth == depth]
            for depth in range(1, self._deepest + 1)
        }
        self._arrays_per_image = {layout: layout.arrays_per_image for layout in layouts}
        self._expected = (
            " or ".join("x".join(map(str, shape)) for shape in shapes)
            + " numbers, or an array of such images"
        )
        # A parser keeps its memory for the next body. One that proxies still refer to cannot be
        # used again, as those in the traceback of an error do, so only success gives it back.
        self._parsers: list[Parser] = []

    def decode(self, body: bytes) -> Array:
        """Read the images.

        Args:
            body: JSON.

        Returns:
            The network's own input, float32 `(batch, pixels)` in [0, 1].

        Raises:
            RequestError: The body is no JSON (400), or not of such images (422).
        """
        try:
            parser = self._parsers.pop()
        except IndexError:
            parser = Parser()
        images = self._decode(_parse(parser, body), body)
        self._parsers.append(parser)
        return images

    def _decode(self, request: JsonObject, body: bytes) -> Array:
        ranged = "range" in _members(request)
        white = _white(request["range"]) if ranged else MAX_PIXEL
        pixels: Any = request["pixels"]
        layout = self._layout(pixels)
        images = list(pixels) if layout.batched else [pixels]

        # Arrays of the right lengths, no array but these, and no element that is neither number
        # nor array: that is exact, and far cheaper than to look at every element. No member's name
        # or range adds a bracket of its own.
        arrays = len(images) * self._arrays_per_image[layout] + layout.batched + ranged
        try:
            regular = _has_lengths(images, layout.image_shape) and body.count(b"[") == arrays
            numbers = np.frombuffer(pixels.as_buffer(of_type="d")) if regular else None
        except TypeError:
            numbers = None
        if numbers is None:
            raise RequestError(422, next(_faults(images, layout.image_shape, white)))

        levels = numbers.reshape(-1, self._image_size)
        _check_levels(levels, white)
        return scale_pixels(levels) if white == MAX_PIXEL else levels.astype(np.float32)

    def _layout(self, pixels: Any) -> _Layout:
        """Choose the layout that is meant, by how deep the first element is nested."""
        lengths: list[int] = []
        value = pixels
        while isinstance(value, JsonArray) and len(lengths) <= self._deepest:
            lengths.append(len(value))
            value = value[0] if lengths[-1] else None
        if lengths == [0]:
            raise RequestError(422, "expected at least one image, got an empty array of pixels")
        layouts = self._layouts_by_depth.get(len(lengths))
        if layouts is None:
            got = f"arrays {len(lengths)} deep" if lengths else _quoted(pixels)
            raise RequestError(422, f"expected pixels to be {self._expected}, got {got}")
        # A batch of flat images and one nested image are equally deep: their rows tell them apart.
        layout = min(layouts, key=lambda x: abs(x.image_shape[-1] - lengths[-1]))
        if layout.batched and lengths[0] > self._max_batch:
            raise RequestError(
                422, f"expected at most {self._max_batch} images a request, got {lengths[0]}"
            )
        return layout


def _parse(parser: Parser, body: bytes) -> JsonObject:
    try:
        request = parser.parse(body)
    except (ValueError, RuntimeError):
        raise _malformed(body) from None
    if not isinstance(request, JsonObject):
        raise RequestError(422, f'expected an object with "pixels", got {_quoted(request)}')
    return request


def _malformed(body: bytes) -> RequestError:
    """Find out what the parser does not like, and where."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return RequestError(400, f"malformed JSON: expected UTF-8, got none at byte {error.start}")
    try:
        # No document ends in this byte: orjson always stops at a fault, and never goes on to make
        # objects, a hundred bytes for each byte of a hostile body.
        orjson.loads(body.removeprefix(codecs.BOM_UTF8) + b"\0")
    except orjson.JSONDecodeError as error:
        fault, place = error.msg, f"line {error.lineno} column {error.colno}"
        # The fault of -Infinity is found after its sign.
        number = _NUMBER.match(error.doc, error.pos - error.doc.startswith("-", error.pos - 1))
        well_formed = error.pos == len(error.doc) - 1 and "after document" in fault
    if number and not math.isfinite(float(number[0])):
        got = number[0][:_LONGEST_QUOTE]
        return RequestError(422, f"expected finite numbers, got {got} at {place}")
    if well_formed:
        return RequestError(422, "expected numbers in range, got an integer beyond 64 bits")
    return RequestError(400, f"malformed JSON: {fault} at {place}")


def _members(request: JsonObject) -> list[str]:
    """Check and list the names of the members; the first three tell of any fault."""
    names = list(islice(request, len(_MEMBERS) + 1))
    known = 'expected "pixels" and, where needed, "range"'
    if unknown := [_quoted(name) for name in names if name not in _MEMBERS]:
        raise RequestError(422, f"{known}, got {' and '.join(unknown)}")
    if len(names) > len(set(names)):
        raise RequestError(422, f"{known}, got one of them twice")
    if "pixels" not in names:
        raise RequestError(422, f'{known}, got no "pixels"')
    return names


def _white(value: Any) -> int:
    """Read the upper end of the range."""
    got = _quoted(value)
    if isinstance(value, JsonArray) and len(value) == 2:
        ends: list[Any] = [value[0], value[1]]
        for white in (MAX_PIXEL, 1):
            if ends == [0, white] and not any(isinstance(end, bool) for end in ends):
                return white
        got = f"[{', '.join(map(_quoted, ends))}]"
    raise RequestError(422, f'expected "range" to be [0, {MAX_PIXEL}] or [0, 1], got {got}')


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
        got = len(value) if isinstance(value, JsonArray) else _quoted(value)
        yield f"expected {size} {'rows' if inner else 'numbers'} {kind}, got {got} in {where}"
        return
    for index, element in enumerate(value):
        if inner:
            yield from _array_faults(element, inner, white, "a row", f"row {index} of {where}")
        elif not isinstance(element, int | float) or isinstance(element, bool):
            yield f"expected numbers from 0 to {white}, got {_quoted(element)} in {where}"


def _check_levels(levels: Array, white: int) -> None:
    """Check that grey levels, float64 `(batch, pixels)`, lie in the range and make use of it."""
    brightest = np.maximum.reduce(levels, axis=1).tolist()
    if np.minimum.reduce(levels, axis=None) < 0 or max(brightest) > white:
        image, pixel = np.argwhere((levels < 0) | (levels > white))[0]
        got = repr(float(levels[image, pixel])).removesuffix(".0")
        raise RequestError(422, f"expected numbers from 0 to {white}, got {got} in image {image}")
    if white == MAX_PIXEL and min(brightest) <= 1:
        for image, level in enumerate(brightest):
            if 0 < level <= 1:
                raise RequestError(
                    422,
                    f"expected numbers from 0 to {white}, got only numbers from 0 to 1 in image "
                    f'{image}: send 0 to {white}, or "range": [0, 1]',
                )


def _quoted(value: Any) -> str:
    """Show what came, in a few words."""
    if isinstance(value, JsonArray):
        return f"an array of {len(value)}"
    if isinstance(value, JsonObject):
        return "an object"
    return json.dumps(value)[:_LONGEST_QUOTE]
