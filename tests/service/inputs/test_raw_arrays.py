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
from service.image_arrays import ImageReader
from service.raw_arrays import read_npy, read_raw

SHAPE = (3, 4)
READER = ImageReader(SHAPE, max_batch=8)
LEVELS = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.uint8)
VALUES = scale_pixels(LEVELS.reshape(5, 12))


def npy(array: Array, version: tuple[int, int] | None = None) -> bytes:
    file = BytesIO()
    npy_format.write_array(file, array, version)
    return file.getvalue()


def by_hand(header: str | bytes, data: bytes = bytes(12), version: int = 1) -> bytes:
    text = header.encode("latin-1") if isinstance(header, str) else header
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + data


def header(descr: str = "'|u1'", order: str = "False", shape: str = "(3, 4)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def read(body: bytes, white: int = 255) -> Array:
    return read_npy(body, READER, SHAPE, white)


def check_refused(body: bytes, status: int, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read(body)
    assert caught.value.status == status
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize("batch", [1, 5])
def test_raw_bytes_are_grey_levels(batch: int) -> None:
    images = read_raw(LEVELS[:batch].tobytes(), READER)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, VALUES[:batch])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expected 12 bytes an image, one a pixel, got 0 in all"),
        (bytes(11), "got 11 in all"),
        (bytes(25), "got 25 in all"),
        (bytes(12 * 9), "expected at most 8 images a request, got 9"),
        (bytes([0, 1] * 6), "got only numbers from 0 to 1 in image 0"),
    ],
)
def test_raw_bytes_that_are_no_images(body: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read_raw(body, READER)
    assert caught.value.status == 422


def test_raw_bytes_of_zeros_and_ones() -> None:
    np.testing.assert_array_equal(read_raw(bytes([0, 1] * 6), READER, 1), [[0, 1] * 6])


@pytest.mark.parametrize("dtype", ["u1", "u2", "<i2", ">i2", "i4", ">u4", "i8", "u8", "f4", ">f8"])
@pytest.mark.parametrize("layout", [(5, 3, 4), (5, 12), (3, 4), (12,), (1, 12)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_array_of_grey_levels(
    dtype: str, layout: tuple[int, ...], order: Any, version: tuple[int, int]
) -> None:
    batch = int(np.prod(layout)) // 12
    array = np.array(LEVELS[:batch].reshape(layout), dtype=dtype, order=order)
    images = read(npy(array, version))
    np.testing.assert_array_equal(images, VALUES[:batch], strict=True)


def test_floats_in_0_to_1_and_bool() -> None:
    for dtype in ("f2", "f4", "f8"):
        array = (LEVELS / 255).astype(dtype)
        np.testing.assert_array_equal(
            read(npy(array), 1), array.reshape(5, 12).astype(np.float32), strict=True
        )
        with pytest.raises(RequestError, match="got only numbers from 0 to 1 in image 0"):
            read(npy(array))
    for white in (1, 255):
        np.testing.assert_array_equal(
            read(npy(LEVELS > 99), white), (LEVELS > 99).reshape(5, 12).astype(np.float32)
        )


@pytest.mark.parametrize("bad", [256, -1, np.nan, np.inf, -np.inf, 1e300])
def test_numbers_out_of_range(bad: float) -> None:
    array = LEVELS.astype(np.float64)
    array[3, 1, 2] = bad
    check_refused(npy(array), 422, "expected numbers from 0 to 255, got .* in image 3")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), "u1"),
        np.zeros((4, 3), "u1"),
        np.zeros((1, 5, 3, 4), "u1"),
        np.zeros((13,), "u1"),
        np.zeros((), "u1"),
        np.zeros((2, 12, 1), "u1"),
    ],
    ids=lambda array: str(array.shape),
)
def test_arrays_of_other_shapes(array: Array) -> None:
    check_refused(npy(array), 422, r"expected an array of shape \(12,\) or \(3, 4\), or a batch")


def test_batches_of_no_and_of_too_many_images() -> None:
    check_refused(npy(np.zeros((0, 12))), 422, "expected at least one image, got none")
    check_refused(npy(np.zeros((9, 3, 4))), 422, "expected at most 8 images a request, got 9")


def test_nothing_is_unpickled() -> None:
    file = BytesIO()
    np.save(file, np.array([print, "x"], dtype=object), allow_pickle=True)
    check_refused(file.getvalue(), 422, "expected a .npy array of bool, integers, or floats")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "expected a .npy file, got one that begins with b''"),
        (b"PK\3\4" + bytes(99), 400, r"got one that begins with b'PK"),
        (b"\x93NUMPY", 400, "expected .npy format version 1.0, 2.0 or 3.0, got none"),
        (by_hand(header(), version=9), 400, "version 1.0, 2.0 or 3.0, got 9.0"),
        (by_hand(header(), version=0), 400, "version 1.0, 2.0 or 3.0, got 0.0"),
        (b"\x93NUMPY\1\0", 400, "got another one"),
        (b"\x93NUMPY\1\0\xff\xff", 400, "got a longer one"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff" + header().encode(), 400, "got a longer one"),
        (by_hand(""), 400, "got another one"),
        (by_hand("{}"), 400, "got another one"),
        (by_hand("{" * 900), 400, "got another one"),
        (by_hand("(" * 900 + ")" * 99), 400, "got another one"),
        (by_hand("{'descr':" + " " * 900), 400, "got another one"),
        (by_hand(header(shape="(" + "1," * 400 + ")")), 422, "or a batch of such, got"),
        (by_hand(header(shape="(" + "  1  " * 150 + ")")), 400, "got another one"),
        (by_hand(header(shape="__import__('os').system('true')")), 400, "got another one"),
        (by_hand(header(shape="(-3, -4)")), 400, "got another one"),
        (by_hand(header(shape="(3.0, 4)")), 400, "got another one"),
        (by_hand(header(shape="[3, 4]")), 400, "got another one"),
        (by_hand(header(shape="(True, 12)")), 400, "got another one"),
        (by_hand(header(shape="3, 4")), 400, "got another one"),
        (by_hand(header(shape="(" + "9" * 500 + ", 12)")), 400, "got another one"),
        (by_hand(header(shape="(9999999999999999999, 12)")), 422, "at most 8 images"),
        (by_hand(header(shape="(4294967296, 4294967296)")), 422, "or a batch of such, got"),
        (by_hand(header(order="0")), 400, "got another one"),
        (by_hand(header(order="'True'")), 400, "got another one"),
        (by_hand(header(descr="'|O'")), 422, "got dtype '|O'"),
        (by_hand(header(descr="'|S12'")), 422, "got dtype"),
        (by_hand(header(descr="'<c8'")), 422, "got dtype"),
        (by_hand(header(descr="'<f16'")), 422, "got dtype"),
        (by_hand(header(descr="'|V4'")), 422, "got dtype"),
        (by_hand(header(descr="'<M8[s]'")), 422, "got dtype"),
        (by_hand(header(descr="'(9999999,)u1'")), 422, "got dtype"),
        (by_hand(header(descr="'u1,u1'")), 422, "got dtype"),
        (by_hand(header(descr="'" + "u" * 800 + "'")), 422, "got dtype"),
        (by_hand(header(descr="''")), 422, "got dtype"),
        (by_hand(header(descr="[('a', '|u1')]")), 400, "got another one"),
        (by_hand(header(descr="1")), 400, "got another one"),
        (by_hand("{'descr': '|u1', 'descr': '|u1', 'shape': (3, 4)}"), 400, "got one twice"),
        (by_hand("{'descr': '|u1', 'shape': (3, 4)}"), 400, "got another one"),
        (by_hand(header()[:-1] + "'x': 1}"), 400, "got another one"),
        (by_hand(header().encode() + b"\xff"), 400, "got another one"),
        (by_hand(header(), bytes(11)), 422, r"12 bytes of uint8 for shape \(3, 4\), got 11"),
        (by_hand(header(), bytes(13)), 422, "got 13"),
        (by_hand(header("'<f8'"), bytes(12)), 422, "expected 96 bytes of float64"),
    ],
)
def test_what_is_no_npy_file_of_images(body: bytes, status: int, words: str) -> None:
    check_refused(body, status, words)


def test_a_header_as_other_programs_write_it() -> None:
    data = LEVELS[0].tobytes()
    for text in (
        "{'shape': (3, 4), 'descr': '|u1', 'fortran_order': False}",
        "{'descr':'|u1','fortran_order':False,'shape':(3,4)}\n",
        header("'u1'") + " " * 60 + "\n",
        header("'<u1'", shape="(3, 4, )"),
    ):
        np.testing.assert_array_equal(read(by_hand(text, data)), VALUES[:1])


@given(at=st.integers(0, 130), piece=st.binary(max_size=3), cut=st.integers(0, 3))
def test_damage_is_refused_or_read_and_nothing_else(at: int, piece: bytes, cut: int) -> None:
    body = npy(LEVELS)
    body = body[:at] + piece + body[at + cut :]
    with suppress(RequestError):
        assert read(body).shape == (5, 12)
