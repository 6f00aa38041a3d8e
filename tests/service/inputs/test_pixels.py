import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.image_arrays import ImageReader
from service.protocols.predict import Options, decode_pixels

SHAPE = (3, 4)
LAYOUTS = [(12,), (3, 4), (-1, 12), (-1, 3, 4)]
READER = ImageReader(SHAPE, max_batch=8)

# 0, or bright enough that no image can be taken for one in [0, 1].
GREY_LEVELS = st.just(0) | st.integers(2, 255) | st.floats(2, 255)
WHOLE_BATCHES = st.integers(1, 4).flatmap(
    lambda n: st.lists(GREY_LEVELS, min_size=12 * n, max_size=12 * n)
)
LEAVES: st.SearchStrategy[Any] = (
    GREY_LEVELS | st.none() | st.booleans() | st.text(max_size=2) | st.just({}) | st.just({"a": 1})
)
NOT_IMAGES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4), max_leaves=6)


def decode(document: Any, reader: ImageReader = READER, **spacing: Any) -> Array:
    return decode_body(json.dumps(document, **spacing).encode(), reader)


def decode_body(body: bytes, reader: ImageReader = READER) -> Array:
    return decode_pixels(reader, 10, body, Options())


def nest(numbers: list[Any], layout: tuple[int, ...]) -> Any:
    """Nest a flat list of numbers, of which each keeps its own type."""
    return np.array(numbers, dtype=object).reshape(layout).tolist()


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The specification in its slow form: the shape of a regular array of numbers, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ()
    if not isinstance(value, list):
        return None
    shapes = {shape_of(item) for item in value}
    if len(shapes) != 1 or None in shapes:
        return None
    return (len(value), *(shapes.pop() or ()))


def is_accepted(shape: tuple[int, ...] | None, image_shape: tuple[int, ...]) -> bool:
    image_shapes = [(int(np.prod(image_shape)),), image_shape]
    return shape is not None and (shape in image_shapes or shape[1:] in image_shapes)


@given(numbers=WHOLE_BATCHES, layout=st.sampled_from(LAYOUTS), indent=st.sampled_from([None, 1]))
def test_every_nesting_decodes_to_what_numpy_makes_of_it(
    numbers: list[float], layout: tuple[int, ...], indent: int | None
) -> None:
    if layout in LAYOUTS[:2]:
        numbers = numbers[:12]
    images = decode({"pixels": nest(numbers, layout)}, indent=indent)
    expected = scale_pixels(np.array(numbers, dtype=np.float64).reshape(-1, 12))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, expected, strict=True)


@given(numbers=st.lists(st.floats(0, 1), min_size=24, max_size=24), white=st.sampled_from([1, 1.0]))
def test_range_0_to_1_is_the_networks_own_input(numbers: list[float], white: float) -> None:
    images = decode({"range": [0, white], "pixels": nest(numbers, (2, 3, 4))})
    np.testing.assert_array_equal(images, np.array(numbers, np.float32).reshape(2, 12), strict=True)


@given(
    numbers=WHOLE_BATCHES,
    layout=st.sampled_from(LAYOUTS),
    intruder=NOT_IMAGES,
    change=st.sampled_from(["replace", "insert", "delete", "wrap", "move"]),
    data=st.data(),
)
def test_a_change_of_the_nesting_is_refused_unless_it_is_a_nesting_too(
    numbers: list[float], layout: tuple[int, ...], intruder: Any, change: str, data: st.DataObject
) -> None:
    if layout in LAYOUTS[:2]:
        numbers = numbers[:12]
    pixels = nest(numbers, layout)
    arrays = [pixels]
    while isinstance(arrays[-1][0], list):
        arrays.append(data.draw(st.sampled_from(arrays[-1])))
    array = data.draw(st.sampled_from(arrays))
    at = data.draw(st.integers(0, len(array) - 1))
    if change == "replace":
        array[at] = intruder
    elif change == "insert":
        array.insert(at, intruder)
    elif change == "delete":
        del array[at]
    elif change == "wrap":
        array[at] = [array[at]]
    else:
        other = data.draw(st.sampled_from(arrays))
        other.append(array.pop(at)) if other is not array[at] else array.pop(at)

    if is_accepted(shape_of(pixels), SHAPE):
        expected = scale_pixels(np.array(pixels, dtype=np.float64).reshape(-1, 12))
        np.testing.assert_array_equal(decode({"pixels": pixels}), expected)
    else:
        with pytest.raises(RequestError, match="expected") as caught:
            decode({"pixels": pixels})
        assert caught.value.status == 422


@pytest.mark.parametrize(
    "image_shape", [(4,), (1, 4), (4, 1), (2, 2), (1, 1), (1, 2, 3), (2, 2, 1)]
)
@given(nested=st.recursive(st.just(7), lambda inner: st.lists(inner, max_size=4), max_leaves=30))
def test_images_of_any_shape(image_shape: tuple[int, ...], nested: Any) -> None:
    reader = ImageReader(image_shape, max_batch=8)
    size = int(np.prod(image_shape))
    for pixels in (nested, *(np.full((2, *image_shape), 7).tolist(), [7] * size)):
        if is_accepted(shape_of(pixels), image_shape):
            expected = scale_pixels(np.array(pixels, dtype=np.float64).reshape(-1, size))
            np.testing.assert_array_equal(decode({"pixels": pixels}, reader), expected)
        else:
            with pytest.raises(RequestError, match="expected"):
                decode({"pixels": pixels}, reader)


@given(
    at=st.integers(0, 200), piece=st.sampled_from([b"", b"[", b"]", b",", b"-", b"e9", b'"', b"\\"])
)
def test_a_body_with_one_fault_is_refused_or_valid_json(at: int, piece: bytes) -> None:
    body = json.dumps({"pixels": np.full((2, 3, 4), 100).tolist(), "range": [0, 255]}).encode()
    body = body[:at] + piece + body[at + 1 :]
    try:
        images = decode_body(body)
    except RequestError:
        return
    pixels = np.array(json.loads(body)["pixels"], dtype=np.float64).reshape(-1, 12)
    np.testing.assert_array_equal(images, scale_pixels(pixels))


def test_ragged_rows_are_refused_though_the_total_is_right() -> None:
    with pytest.raises(RequestError, match=r"expected 4 numbers a row, got 3 in row 0 of image 0"):
        decode({"pixels": [[9, 9, 9], [9, 9, 9, 9, 9], [9, 9, 9, 9]]})
    with pytest.raises(RequestError, match=r"expected numbers from 0 to 255, got an array of 1"):
        decode({"pixels": [[9, [9], 9, 9], [9] * 4, [9] * 4]})


def test_threads_get_their_own_images() -> None:
    def decode_repeatedly(level: int) -> bool:
        body = json.dumps({"pixels": np.full((8, 12), level).tolist()}).encode()
        expected = scale_pixels(np.full((8, 12), level))
        return all(np.array_equal(decode_body(body), expected) for _ in range(200))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(decode_repeatedly, range(100, 108)))


def test_the_reader_goes_on_after_an_error() -> None:
    for _ in range(3):
        with pytest.raises(RequestError):
            decode({"pixels": [1, 2]})
        np.testing.assert_array_equal(decode({"pixels": [255] * 12}), np.ones((1, 12)))


@pytest.mark.parametrize("unit", [b"0,", b"[],", b'"a",', b"{},"])
def test_a_large_hostile_body_gets_a_short_answer(unit: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode_body(b'{"pixels": [' + unit * 100_000 + b"0]}")
    assert caught.value.status == 422
    assert len(caught.value.detail) < 300
