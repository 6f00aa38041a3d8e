"""The IDX reader: every value type, gzipped or not, and an error in one line for damaged files."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nncore.types import Array
from tests.support.data import TYPE_CODES, idx_bytes
from trainer.errors import DataError
from trainer.idx import LARGEST_FILE, read_idx

WHOLE = bytes.fromhex("00000803 00000001 00000002 00000002 00 7f 80 ff")
GZIPPED = gzip.compress(WHOLE, mtime=0)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "some-idx3-ubyte"
    path.write_bytes(content)
    return path


def rejection(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_idx(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (WHOLE, np.array([[[0, 127], [128, 255]]], np.uint8)),
        (bytes.fromhex("00000901 00000003 00 7f 80"), np.array([0, 127, -128], np.int8)),
        (
            bytes.fromhex("00000b02 00000002 00000001 0102 fffe"),
            np.array([[258], [-2]], np.int16),
        ),
        (bytes.fromhex("00000c01 00000001 01020304"), np.array([16_909_060], np.int32)),
        (bytes.fromhex("00000d01 00000001 c0200000"), np.array([-2.5], np.float32)),
        (bytes.fromhex("00000e01 00000001 bfb999999999999a"), np.array([-0.1], np.float64)),
    ],
    ids=["uint8", "int8", "int16", "int32", "float32", "float64"],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_every_value_type_is_read_as_specified(
    tmp_path: Path, content: bytes, expected: Array, gzipped: bool
) -> None:
    found = read_idx(write(tmp_path, gzip.compress(content) if gzipped else content)).array
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert found.dtype.isnative


@given(
    st.sampled_from(sorted(TYPE_CODES)).flatmap(
        lambda code: hnp.arrays(code, hnp.array_shapes(max_dims=4, min_side=0, max_side=5))
    ),
    st.booleans(),
)
def test_a_written_array_is_read_back_with_the_digest_of_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, array: Array, gzipped: bool
) -> None:
    content = idx_bytes(array)
    path = write(tmp_path_factory.getbasetemp(), gzip.compress(content, 1) if gzipped else content)
    found = read_idx(path)
    assert (found.array.shape, found.array.dtype) == (array.shape, array.dtype)
    assert found.array.tobytes() == array.tobytes()
    assert found.sha256 == hashlib.sha256(content).hexdigest()


MALFORMED = {
    "empty": (b"", r"IDX magic number .*got b''"),
    "text": (b"hello, world", r"IDX magic number .*got b'hell'"),
    "second byte set": (WHOLE[:1] + b"\1" + WHOLE[2:], "IDX magic number"),
    "unknown type": (WHOLE[:2] + b"\x0a" + WHOLE[3:], "IDX magic number"),
    "no dimensions": (b"\0\0\x08\0" + b"x", "IDX magic number"),
    "dimensions cut": (WHOLE[:15], "3 dimensions, got a file that ends before them"),
    "values cut": (WHOLE[:-1], r"4 bytes of values for \(1, 2, 2\), got 3"),
    "too long": (WHOLE + b"x", r"4 bytes of values for \(1, 2, 2\), got more"),
    "huge shape": (
        struct.pack(">4B4I", 0, 0, 14, 4, *[0xFFFFFFFF] * 4) + b"x",
        f"at most {LARGEST_FILE} bytes of values, got a shape of",
    ),
    "255 dimensions": (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", "dimension"),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("gzipped", [False, True])
def test_a_malformed_file_is_rejected_in_one_line(tmp_path: Path, kind: str, gzipped: bool) -> None:
    content, message = MALFORMED[kind]
    path = write(tmp_path, gzip.compress(content) if gzipped else content)
    with pytest.raises(DataError, match=message):
        read_idx(path)
    rejection(path)


def test_a_truncated_gzip_file_or_one_with_other_bytes_at_its_end_is_rejected(
    tmp_path: Path,
) -> None:
    for length in range(len(GZIPPED)):
        rejection(write(tmp_path, GZIPPED[:length]))
    for end in (b"garbage", GZIPPED[:9]):
        assert "expected a complete gzip file" in rejection(write(tmp_path, GZIPPED + end))


def test_a_flipped_bit_in_a_gzip_file_is_detected_or_has_no_effect(tmp_path: Path) -> None:
    rejected = 0
    for bit in range(0, 8 * len(GZIPPED), 3):
        flipped = bytearray(GZIPPED)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = read_idx(write(tmp_path, bytes(flipped)))
        except DataError:
            rejected += 1
        else:
            assert found.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert rejected > 4 * len(GZIPPED) / 3


@given(st.binary(max_size=64), st.booleans())
def test_any_bytes_are_read_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, gzipped: bool
) -> None:
    path = write(tmp_path_factory.getbasetemp(), gzip.compress(content, 1) if gzipped else content)
    try:
        assert idx_bytes(read_idx(path).array) == content
    except DataError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017
