from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy_format

from nncore import scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.inputs.pixels import PixelReader
from service.inputs.raw_arrays import read_npy, read_raw

SHAPE = (3, 4)
READER = PixelReader(SHAPE, max_batch=8)
LEVELS = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.uint8)
VALUES = scale_pixels(LEVELS.reshape(5, 12))


def npy(array: Array, version: tuple[int, int] | None = None) -> bytes:
    file = BytesIO()
    npy_format.write_array(file, array, version)
    return file.getvalue()


def read(body: bytes, max_value: int = 255) -> Array:
    return read_npy(body, READER, max_value)


def check_rejected(body: bytes, status: int, words: str = "expected") -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read(body)
    assert caught.value.status == status
    assert len(caught.value.detail) < 300


def test_raw_bytes_are_grey_levels() -> None:
    for batch in (1, 5):
        images = read_raw(LEVELS[:batch].tobytes(), READER)
        np.testing.assert_array_equal(images, VALUES[:batch], strict=True)
    np.testing.assert_array_equal(read_raw(bytes([0, 1] * 6), READER, 1), [[0, 1] * 6])


@pytest.mark.parametrize(
    ("dtype", "layout", "order", "version"),
    [
        ("u1", (5, 3, 4), "C", (1, 0)),
        ("<i2", (5, 12), "C", (2, 0)),
        (">u4", (12,), "C", (3, 0)),
        ("f4", (3, 4), "F", (1, 0)),
        (">f8", (5, 3, 4), "F", (1, 0)),
        ("i8", (1, 12), "F", (1, 0)),
    ],
)
def test_npy_of_any_dtype_layout_and_version(
    dtype: str, layout: tuple[int, ...], order: Any, version: tuple[int, int]
) -> None:
    batch = int(np.prod(layout)) // 12
    array = np.array(LEVELS[:batch].reshape(layout), dtype=dtype, order=order)
    np.testing.assert_array_equal(read(npy(array, version)), VALUES[:batch], strict=True)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "?"])
def test_npy_of_levels_up_to_1(dtype: str) -> None:
    array = (LEVELS / 255).astype(dtype)
    expected = array.reshape(5, 12).astype(np.float32)
    np.testing.assert_array_equal(read(npy(array), 1), expected, strict=True)
    if dtype == "?":
        np.testing.assert_array_equal(read(npy(array)), expected, strict=True)
    else:
        check_rejected(npy(array), 422, "from 0 to 1 in image 0")


def test_arrays_that_are_no_images_are_rejected() -> None:
    for shape in ((2, 2), (4, 3), (1, 5, 3, 4), (13,), (), (2, 12, 1)):
        check_rejected(npy(np.zeros(shape)), 422, r"\(3, 4\) or \(12,\)")
    check_rejected(npy(np.zeros((0, 12))), 422, "got none")
    check_rejected(npy(np.zeros((9, 3, 4))), 422, "got 9")
    check_rejected(npy(np.zeros((3, 4), "O")), 400)
    for dtype in ("S12", "<c8", "<M8[s]", "u1,u1"):
        check_rejected(npy(np.zeros((3, 4), dtype)), 422, "got dtype")
    check_rejected(npy(LEVELS)[:-1], 400)
    check_rejected(npy(LEVELS) + b"x", 422)


@pytest.mark.parametrize("body", [b"", b"PK\3\4" + bytes(99), b"\x93NUMPY", npy(LEVELS)[:20]])
def test_other_files_are_rejected(body: bytes) -> None:
    check_rejected(body, 400, ".npy file")
