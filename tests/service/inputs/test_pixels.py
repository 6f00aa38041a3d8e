import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.inputs.pixels import PixelReader
from service.protocols.predict import Options, decode_pixels

SHAPE = (3, 4)
LAYOUTS = [(12,), (3, 4), (-1, 12), (-1, 3, 4)]
READER = PixelReader(SHAPE, max_batch=8)

# 0, or bright enough that no image can be taken for one in [0, 1].
GREY_LEVELS = st.just(0) | st.integers(2, 255) | st.floats(2, 255)
BATCHES = st.integers(1, 4).flatmap(
    lambda n: st.lists(GREY_LEVELS, min_size=12 * n, max_size=12 * n)
)
LEAVES = GREY_LEVELS | st.none() | st.booleans() | st.text(max_size=2) | st.just({"a": 1})
NOT_IMAGES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4), max_leaves=6)


def decode(document: Any, reader: PixelReader = READER, **spacing: Any) -> Array:
    body = json.dumps(document, **spacing).encode()
    return decode_pixels(reader, 10, body, Options())


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Return the shape of a regular array of numbers, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ()
    if not isinstance(value, list):
        return None
    shapes = {shape_of(item) for item in value}
    if len(shapes) != 1 or None in shapes:
        return None
    return (len(value), *(shapes.pop() or ()))


def check(pixels: Any) -> None:
    """Check that pixels are read as numpy reads them, or rejected if they are no images."""
    shape, image_shapes = shape_of(pixels), LAYOUTS[:2]
    if shape is not None and (shape in image_shapes or shape[1:] in image_shapes):
        expected = scale_pixels(np.array(pixels, dtype=np.float64).reshape(-1, 12))
        np.testing.assert_array_equal(decode({"pixels": pixels}), expected, strict=True)
    else:
        with pytest.raises(RequestError, match="expected") as caught:
            decode({"pixels": pixels})
        assert caught.value.status == 422


@given(
    numbers=BATCHES,
    layout=st.sampled_from(LAYOUTS),
    intruder=NOT_IMAGES,
    change=st.sampled_from(["nothing", "replace", "insert", "delete", "wrap"]),
    data=st.data(),
)
def test_images_are_read_as_numpy_reads_them_and_irregular_arrays_rejected(
    numbers: list[float], layout: tuple[int, ...], intruder: Any, change: str, data: st.DataObject
) -> None:
    if layout in LAYOUTS[:2]:
        numbers = numbers[:12]
    pixels: Any = np.array(numbers, dtype=object).reshape(layout).tolist()
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
    check(pixels)


@pytest.mark.parametrize("image_shape", [(28, 28), (784, 1), (1, 1)])
def test_a_full_batch_is_within_the_bound_on_structure(image_shape: tuple[int, int]) -> None:
    """Regression: 16 MiB of zeros were expanded before they were rejected."""
    reader, images = PixelReader(image_shape, max_batch=8), np.full((8, *image_shape), 7)
    assert len(decode({"pixels": images.tolist()}, reader, indent=8)) == 8
    with pytest.raises(RequestError, match="at most 8 images per request"):
        decode({"pixels": [7] * (images.size * 20 + 20_000)}, reader)
