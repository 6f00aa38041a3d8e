from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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

# NumPy warns of headers that Python 2 wrote, and of dtype names that it no longer writes.
pytestmark = pytest.mark.filterwarnings("ignore")


def npy(array: Array, version: tuple[int, int] | None = None) -> bytes:
    file = BytesIO()
    npy_format.write_array(file, array, version)
    return file.getvalue()


def npy_by_hand(header: str | bytes, data: bytes = bytes(12), version: int = 1) -> bytes:
    text = header.encode("latin-1") if isinstance(header, str) else header
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + data


def header(descr: str = "'|u1'", order: str = "False", shape: str = "(3, 4)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def read(body: bytes, max_value: int = 255) -> Array:
    return read_npy(body, READER, max_value)


def check_rejected(body: bytes, status: int, words: str = "") -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read(body)
    assert caught.value.status == status
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize("batch", [1, 5])
def test_raw_bytes_are_grey_levels(batch: int) -> None:
    images = read_raw(LEVELS[:batch].tobytes(), READER)
    np.testing.assert_array_equal(images, VALUES[:batch], strict=True)
    zeros_and_ones = bytes([0, 1] * 6 * batch)
    np.testing.assert_array_equal(read_raw(zeros_and_ones, READER, 1), [[0, 1] * 6] * batch)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "got none"),
        (bytes(25), "got 25 in all"),
        (bytes(12 * 9), "got 9"),
        (bytes([0, 1] * 6), "from 0 to 1 in image 0"),
    ],
)
def test_raw_bytes_of_a_wrong_size_or_range_are_rejected(body: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read_raw(body, READER)
    assert caught.value.status == 422


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">u4", "i8", "f4", ">f8"])
@pytest.mark.parametrize("layout", [(5, 3, 4), (5, 12), (3, 4), (12,), (1, 12)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_of_every_dtype_layout_and_version(
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


@pytest.mark.parametrize("bad", [256, -1, np.nan, np.inf, 1e300])
def test_levels_out_of_range_are_rejected(bad: float) -> None:
    array = LEVELS.astype(np.float64)
    array[3, 1, 2] = bad
    check_rejected(npy(array), 422, "expected numbers from 0 to 255, got .* in image 3")


@pytest.mark.parametrize("shape", [(2, 2), (4, 3), (1, 5, 3, 4), (13,), (), (2, 12, 1)], ids=str)
def test_arrays_of_other_shapes_are_rejected(shape: tuple[int, ...]) -> None:
    check_rejected(npy(np.zeros(shape)), 422, r"of shape \(3, 4\) or \(12,\), or a batch of such")


def test_batches_without_or_with_too_many_images_are_rejected() -> None:
    check_rejected(npy(np.zeros((0, 12))), 422, "got none")
    check_rejected(npy(np.zeros((9, 3, 4))), 422, "got 9")


def test_nothing_is_unpickled() -> None:
    file = BytesIO()
    np.save(file, np.array([print, "x"], dtype=object), allow_pickle=True)
    check_rejected(file.getvalue(), 400)


OTHER_HEADERS: list[str | bytes] = [
    *("{}", "(" * 900, "-" * 900 + "1", "{'descr': '|u1', 'shape': (3, 4)}", header() + " " * 2000),
    *(header(shape=shape) for shape in ("__import__('os').system('true')", "(3.0, 4)", "[3, 4]")),
    *(header(order="0"), header("1"), header("'" + "u" * 800 + "'"), header().encode() + b"\xff"),
]
OTHER_FILES = [
    *(b"", b"PK\3\4" + bytes(99), b"\x93NUMPY", b"\x93NUMPY\1\0\xff\xff"),
    b"\x93NUMPY\2\0\xff\xff\xff\xff" + header().encode(),
    npy_by_hand(header(), version=9),
    *map(npy_by_hand, OTHER_HEADERS),
]


@pytest.mark.parametrize("body", OTHER_FILES, ids=range(len(OTHER_FILES)))
def test_other_files_are_rejected(body: bytes) -> None:
    check_rejected(body, 400, "expected a complete .npy file")


@pytest.mark.parametrize("descr", ["|S12", "<c8", "<f16", "|V4", "<M8[s]", "u1,u1"])
def test_other_dtypes_are_rejected(descr: str) -> None:
    data = bytes(12 * np.dtype(descr).itemsize)
    check_rejected(npy_by_hand(header(repr(descr)), data), 422, "got dtype")


@pytest.mark.parametrize(
    ("descr", "shape", "size", "status"),
    [
        ("'|u1'", "(3, 4)", 11, 400),
        ("'|u1'", "(3, 4)", 13, 422),
        ("'<f8'", "(3, 4)", 12, 400),
        ("'|u1'", "(-1, 12)", 12, 400),
        ("'<f8'", "(" + "9" * 500 + ", 12)", 12, 400),
        ("'<f8'", "(9999999999999999999, 12)", 12, 400),
        ("'|u1'", "(99999999999, 12)", 12, 400),
    ],
)
def test_a_size_that_is_not_the_shape_is_rejected(
    descr: str, shape: str, size: int, status: int
) -> None:
    check_rejected(npy_by_hand(header(descr, shape=shape), bytes(size)), status)


@given(at=st.integers(0, 130), piece=st.binary(max_size=3), cut=st.integers(0, 3))
def test_any_bytes_are_read_or_rejected(at: int, piece: bytes, cut: int) -> None:
    body = npy(LEVELS)
    with suppress(RequestError):
        assert read(body[:at] + piece + body[at + cut :]).shape == (5, 12)
