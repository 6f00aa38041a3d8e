"""The input tensor of the Open Inference Protocol: checked, and read with no copy too many."""

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.json_body import quoted
from service.serving import ServedModel

INPUT = "images"


class _Datatype(NamedTuple):
    """How a number is stored in binary data, and what full ink is."""

    dtype: np.dtype[Any]
    white: int


_DATATYPES = {
    "FP32": _Datatype(np.dtype("<f4"), 1),
    "FP64": _Datatype(np.dtype("<f8"), 1),
    "FP16": _Datatype(np.dtype("<f2"), 1),
    "UINT8": _Datatype(np.dtype("u1"), MAX_PIXEL),
}


class Body(NamedTuple):
    """A request's body.

    Attributes:
        json: Where it is described.
        binary: What follows the JSON.
        other_arrays: How many arrays the JSON has beside those of the input's data.
    """

    json: bytes
    binary: memoryview
    other_arrays: int


def image_shapes(model: ServedModel) -> list[tuple[int, ...]]:
    """Give the shapes that an image may have, the one that metadata names first."""
    return list(dict.fromkeys([tuple(model.manifest.input_shape), (model.images.image_size,)]))


def read_images(
    tensor: JsonObject, binary_size: int | None, body: Body, model: ServedModel
) -> Array:
    """Read the input tensor.

    Args:
        tensor: As the request describes it.
        binary_size: Of its data in bytes, where it is not in the JSON.
        body: Where its data is.
        model: The one that is asked.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: It is no tensor of this model's (400 or 422).
    """
    name, datatype = tensor.get("datatype"), None
    if isinstance(name, str):
        datatype = _DATATYPES.get(name)
    if datatype is None:
        raise RequestError(
            400,
            f"expected datatype {', '.join(_DATATYPES)} of input {INPUT}, got {quoted(name)}: send "
            f"pixels / {MAX_PIXEL} as FP32, or pixels from 0 to {MAX_PIXEL} as UINT8",
        )
    shape = _read_shape(tensor.get("shape"), model)
    numbers = (
        _read_json(tensor.get("data"), shape, body)
        if binary_size is None
        else _read_binary(binary_size, shape, datatype, body)
    )
    levels = numbers.reshape(shape[0], -1)
    if levels.dtype != np.uint8:
        _check_levels(levels, datatype)
    if datatype.white == MAX_PIXEL:
        return scale_pixels(levels)
    return levels.astype(np.float32, copy=False)


def _read_shape(value: Any, model: ServedModel) -> list[int]:
    shapes = image_shapes(model)
    got = quoted(value)
    if isinstance(value, JsonArray) and len(value) <= 1 + max(map(len, shapes)):
        shape: list[Any] = list(value)
        is_integers = all(isinstance(size, int) and not isinstance(size, bool) for size in shape)
        if is_integers and tuple(shape[1:]) in shapes and shape[0] >= 0:
            model.images.check_batch(shape[0])
            return shape
        got = f"[{', '.join(map(quoted, shape))}]"
    expected = " or ".join(f"[N, {', '.join(map(str, shape))}]" for shape in shapes)
    raise RequestError(400, f"expected shape {expected} of input {INPUT}, got {got}")


def _read_binary(size: int, shape: Sequence[int], datatype: _Datatype, body: Body) -> Array:
    expected = math.prod(shape) * datatype.dtype.itemsize
    if size != expected:
        raise RequestError(
            400,
            f"expected a binary_data_size of {expected} for {math.prod(shape)} numbers of "
            f"{datatype.dtype.itemsize} bytes, got {size}",
        )
    if len(body.binary) != size:
        raise RequestError(
            400, f"expected {size} bytes of binary data after the JSON, got {len(body.binary)}"
        )
    numbers: Array = np.frombuffer(body.binary, datatype.dtype)
    # The JSON before it has any length: what is not aligned is many times slower to go through.
    return numbers if numbers.flags.aligned else numbers.copy()


def _read_json(data: Any, shape: Sequence[int], body: Body) -> Array:
    """Read numbers that are flat or nested as the shape, with no Python object for each."""
    if data is None:
        raise RequestError(400, f"expected data or binary_data_size in input {INPUT}, got neither")
    if not isinstance(data, JsonArray):
        raise RequestError(400, f"expected data to be an array, got {quoted(data)}")
    if len(body.binary):
        raise RequestError(
            400, f"expected nothing after the JSON, got {len(body.binary)} bytes that no input has"
        )
    is_nested = len(data) > 0 and isinstance(data[0], JsonArray)
    layout = list(shape) if is_nested else [math.prod(shape)]
    # Arrays of the right lengths and no array but these: that is exact, and far cheaper than to
    # look at every element. A bracket in a string or in an unknown member costs that.
    arrays = sum(math.prod(layout[:axis]) for axis in range(len(layout)))
    if body.json.count(b"[") == body.other_arrays + arrays:
        with suppress(TypeError):  # an element is neither number nor array
            if _has_lengths(data, layout):
                return _numbers(data)
    if fault := _find_fault(data, layout, "data"):
        raise RequestError(400, fault)
    return _numbers(data)


def _numbers(data: JsonArray) -> Array:
    numbers: Array = np.frombuffer(data.as_buffer(of_type="d"))
    return numbers


def _has_lengths(data: JsonArray, layout: Sequence[int]) -> bool:
    """Tell whether arrays and the arrays in them have the lengths of a layout.

    Raises:
        TypeError: What should be an array is a number.
    """
    *outer, innermost = layout
    arrays: list[Any] = [data]
    for size in outer:
        if set(map(len, arrays)) != {size}:
            return False
        arrays = list(chain.from_iterable(arrays))
    return set(map(len, arrays)) == {innermost}


def _find_fault(value: Any, layout: Sequence[int], where: str) -> str | None:
    """Say where arrays are not of a layout, or hold what is no number."""
    size, *inner = layout
    if not isinstance(value, JsonArray) or len(value) != size:
        got = len(value) if isinstance(value, JsonArray) else quoted(value)
        return f"expected {size} {'arrays' if inner else 'numbers'} in {where}, got {got}"
    for index, element in enumerate(value):
        if inner:
            if fault := _find_fault(element, inner, f"{where}[{index}]"):
                return fault
        elif not isinstance(element, int | float) or isinstance(element, bool):
            return f"expected numbers in {where}, got {quoted(element)} at {index}"
    return None


def _check_levels(levels: Array, datatype: _Datatype) -> None:
    """Check that numbers, `(batch, pixels)`, are in the datatype's range.

    Raises:
        RequestError: They are not (400).
    """
    white, is_float = datatype.white, datatype.dtype.kind == "f"
    is_in_range = levels.min() >= 0 and levels.max() <= white  # false of NaN, too
    if is_in_range and (is_float or np.array_equal(levels, levels.astype(np.uint8))):
        return
    good = (levels >= 0) & (levels <= white)
    if not is_float:
        good &= levels == np.floor(levels)
    image, pixel = np.argwhere(~good)[0]
    got = repr(float(levels[image, pixel])).removesuffix(".0")
    if is_float:
        expected = f"numbers from 0 to {white}"
        remedy = f"send pixels / {MAX_PIXEL}, or UINT8 from 0 to {MAX_PIXEL}"
    else:
        expected = f"integers from 0 to {white}"
        remedy = f"send pixels / {white} as FP32, or integers"
    raise RequestError(400, f"expected {expected}, got {got} in image {image}: {remedy}")
