from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy_format

from nncore import scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.inputs.pixels import PixelReader
from service.inputs.raw_arrays import read_npy

SHAPE = (3, 4)
READER = PixelReader(SHAPE, max_batch=8)
LEVELS = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.uint8)
VALUES = scale_pixels(LEVELS.reshape(5, 12))


def npy(array: Array, version: tuple[int, int] | None = None) -> bytes:
    file = BytesIO()
    npy_format.write_array(file, array, version)
    return file.getvalue()


def check_rejected(body: bytes, status: int, words: str = "expected") -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read_npy(body, READER, 255)
    assert caught.value.status == status


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
    np.testing.assert_array_equal(
        read_npy(npy(array, version), READER, 255), VALUES[:batch], strict=True
    )


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "?"])
def test_npy_of_levels_up_to_1(dtype: str) -> None:
    array = (LEVELS / 255).astype(dtype)
    expected = array.reshape(5, 12).astype(np.float32)
    np.testing.assert_array_equal(read_npy(npy(array), READER, 1), expected, strict=True)


def test_other_arrays_and_files_are_rejected() -> None:
    for shape in ((2, 2), (4, 3), (1, 5, 3, 4), (), (2, 12, 1)):
        check_rejected(npy(np.zeros(shape)), 422, r"\(3, 4\) or \(12,\)")
    check_rejected(npy(np.zeros((0, 12))), 422, "got none")
    check_rejected(npy(np.zeros((9, 3, 4))), 422, "got 9")
    for dtype in ("S12", "<c8", "<M8[s]", "u1,u1"):
        check_rejected(npy(np.zeros((3, 4), dtype)), 422, "got dtype")
    for body in (npy(np.zeros((3, 4), "O")), b"", npy(LEVELS)[:20], npy(LEVELS)[:-1]):
        check_rejected(body, 400)
