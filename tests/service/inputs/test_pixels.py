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
from service.inputs.pixels import PixelReader, scale_levels
from service.protocols.predict import Options, decode_pixels

SHAPE = (3, 4)
LAYOUTS = [(12,), (3, 4), (-1, 12), (-1, 3, 4)]
READER = PixelReader(SHAPE, max_batch=8)

# 0, or bright enough that no image can be taken for one in [0, 1].
GREY_LEVELS = st.just(0) | st.integers(2, 255) | st.floats(2, 255)
BATCHES = st.integers(1, 4).flatmap(
    lambda n: st.lists(GREY_LEVELS, min_size=12 * n, max_size=12 * n)
)
LEAVES: st.SearchStrategy[Any] = (
    GREY_LEVELS | st.none() | st.booleans() | st.text(max_size=2) | st.just({}) | st.just({"a": 1})
)
NOT_IMAGES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4), max_leaves=6)


def decode(document: Any, reader: PixelReader = READER, **spacing: Any) -> Array:
    body = json.dumps(document, **spacing).encode()
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


def check(pixels: Any, reader: PixelReader = READER, image_shape: tuple[int, ...] = SHAPE) -> None:
    """Check that pixels are read as numpy reads them, or rejected if they are no images."""
    shape, size = shape_of(pixels), int(np.prod(image_shape))
    image_shapes = [(size,), image_shape]
    if shape is not None and (shape in image_shapes or shape[1:] in image_shapes):
        expected = scale_pixels(np.array(pixels, dtype=np.float64).reshape(-1, size))
        np.testing.assert_array_equal(decode({"pixels": pixels}, reader), expected, strict=True)
    else:
        with pytest.raises(RequestError, match="expected") as caught:
            decode({"pixels": pixels}, reader)
        assert caught.value.status == 422


@given(
    numbers=BATCHES,
    layout=st.sampled_from(LAYOUTS),
    intruder=NOT_IMAGES,
    change=st.sampled_from(["nothing", "replace", "insert", "delete", "wrap", "move"]),
    data=st.data(),
)
def test_images_are_read_as_numpy_reads_them_and_irregular_arrays_rejected(
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
    elif change == "move":
        other = data.draw(st.sampled_from(arrays))
        other.append(array.pop(at)) if other is not array[at] else array.pop(at)
    check(pixels)


@pytest.mark.parametrize("image_shape", [(4,), (1, 4), (4, 1), (1, 1), (2, 2, 1)])
@given(nested=st.recursive(st.just(7), lambda inner: st.lists(inner, max_size=4), max_leaves=30))
def test_images_of_any_shape(image_shape: tuple[int, ...], nested: Any) -> None:
    reader = PixelReader(image_shape, max_batch=8)
    size = int(np.prod(image_shape))
    for pixels in (nested, *np.full((2, *image_shape), 7).tolist(), [7] * size):
        check(pixels, reader, image_shape)


@pytest.mark.parametrize("image_shape", [(28, 28), (784, 1), (1, 1)])
def test_a_full_batch_of_any_shape_is_within_the_bound_on_structure(
    image_shape: tuple[int, ...],
) -> None:
    reader = PixelReader(image_shape, max_batch=8)
    images = np.full((8, *image_shape), 7)
    assert decode({"pixels": images.tolist()}, reader, indent=8).shape == (8, images[0].size)
    with pytest.raises(RequestError, match="at most 8 images per request") as caught:
        decode({"pixels": [7] * (images.size * 20 + 20_000)}, reader)
    assert caught.value.status == 422


def test_threads_get_their_own_images() -> None:
    def decode_repeatedly(level: int) -> bool:
        expected = scale_pixels(np.full((8, 12), level))
        document = {"pixels": np.full((8, 12), level).tolist()}
        return all(np.array_equal(decode(document), expected) for _ in range(100))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(decode_repeatedly, range(100, 104)))


@pytest.mark.parametrize(
    ("level", "max_value", "words"),
    [
        (255.5, 255, "from 0 to 255, got 255.5 in image 1$"),
        (-1, 255, "got -1 in image 1"),
        (np.nan, 255, "got nan in image 1"),
        (np.nan, 1, "from 0 to 1, got nan in image 1"),
        (-np.inf, 1, "got -inf in image 1"),
        (2, 1, "got 2 in image 1: divide grey levels by 255"),
        (0.5, 255, "only numbers from 0 to 1 in image 1"),
    ],
)
def test_levels_out_of_range_are_rejected(level: float, max_value: int, words: str) -> None:
    levels = np.zeros((2, 3))
    levels[1, 2] = level
    with pytest.raises(RequestError, match=words) as caught:
        scale_levels(levels, max_value)
    assert caught.value.status == 422
