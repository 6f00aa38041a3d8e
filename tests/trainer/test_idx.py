"""The IDX reader: every value type, gzipped or not, and one clear line for whatever is damaged."""

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

GOLDEN: dict[str, tuple[bytes, Array]] = {
    "unsigned bytes": (
        bytes.fromhex("00000803 00000001 00000002 00000002 00 7f 80 ff"),
        np.array([[[0, 127], [128, 255]]], np.uint8),
    ),
    "signed bytes": (
        bytes.fromhex("00000901 00000003 00 7f 80"),
        np.array([0, 127, -128], np.int8),
    ),
    "short integers": (
        bytes.fromhex("00000b02 00000002 00000001 0102 fffe"),
        np.array([[258], [-2]], np.int16),
    ),
    "integers": (
        bytes.fromhex("00000c01 00000002 01020304 ffffffff"),
        np.array([16_909_060, -1], np.int32),
    ),
    "floats": (
        bytes.fromhex("00000d01 00000002 3f800000 c0200000"),
        np.array([1, -2.5], np.float32),
    ),
    "doubles": (
        bytes.fromhex("00000e01 00000002 3ff0000000000000 bfb999999999999a"),
        np.array([1, -0.1], np.float64),
    ),
}
WHOLE = GOLDEN["unsigned bytes"][0]


def write(folder: Path, content: bytes) -> Path:
    path = folder / "some-idx3-ubyte"
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_idx(path)
    message = str(error.value)
    assert message.startswith(f"{path}: expected ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", GOLDEN)
@pytest.mark.parametrize("gzipped", [False, True])
def test_every_value_type_is_read_as_the_format_defines_it(
    tmp_path: Path, kind: str, gzipped: bool
) -> None:
    content, expected = GOLDEN[kind]
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
def test_what_is_written_is_read(
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
    "magic cut short": (WHOLE[:3], "IDX magic number"),
    "text": (b"hello, world", r"IDX magic number .*got b'hell'"),
    "first byte set": (b"\1" + WHOLE[1:], "IDX magic number"),
    "second byte set": (WHOLE[:1] + b"\1" + WHOLE[2:], "IDX magic number"),
    "unknown type": (WHOLE[:2] + b"\x0a" + WHOLE[3:], "IDX magic number"),
    "no dimensions": (b"\0\0\x08\0" + b"x", "IDX magic number"),
    "dimensions gone": (WHOLE[:4], "3 dimensions, got a file that ends before them"),
    "dimensions cut short": (WHOLE[:15], "3 dimensions, got a file that ends before them"),
    "values gone": (WHOLE[:16], r"4 bytes of values for \(1, 2, 2\), got 0"),
    "values cut short": (WHOLE[:-1], r"4 bytes of values for \(1, 2, 2\), got 3"),
    "a byte too many": (WHOLE + b"x", r"4 bytes of values for \(1, 2, 2\), got more"),
    "more values claimed than there are": (
        struct.pack(">4B3I", 0, 0, 8, 3, 1 << 20, 1 << 5, 1 << 3) + b"x",
        "268435456 bytes of values for .*, got 1",
    ),
    "values beyond any memory claimed": (
        struct.pack(">4B4I", 0, 0, 14, 4, *[0xFFFFFFFF] * 4) + b"x",
        f"at most {LARGEST_FILE} bytes of values, got a shape of",
    ),
    "more dimensions than an array can have": (
        b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x",
        "dimension",
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("gzipped", [False, True])
def test_a_malformed_file_is_refused_in_one_line_that_names_it(
    tmp_path: Path, kind: str, gzipped: bool
) -> None:
    content, message = MALFORMED[kind]
    path = write(tmp_path, gzip.compress(content) if gzipped else content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_no_beginning_of_a_gzip_file_passes_for_the_whole(tmp_path: Path) -> None:
    compressed = gzip.compress(WHOLE, mtime=0)
    for length in range(len(compressed)):
        refusal(write(tmp_path, compressed[:length]))


def test_a_flipped_bit_in_a_gzip_file_is_found_or_changes_nothing(tmp_path: Path) -> None:
    compressed = gzip.compress(WHOLE, mtime=0)
    refused = 0
    for bit in range(8 * len(compressed)):
        flipped = bytearray(compressed)
        flipped[bit // 8] ^= 1 << bit % 8
        path = write(tmp_path, bytes(flipped))
        try:
            found = read_idx(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either will do
            refused += 1
        else:
            assert found.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert refused > 4 * len(compressed)


@given(st.binary(max_size=64), st.booleans())
def test_any_bytes_are_an_array_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, gzipped: bool
) -> None:
    path = write(tmp_path_factory.getbasetemp(), gzip.compress(content, 1) if gzipped else content)
    try:
        assert idx_bytes(read_idx(path).array) == content
    except DataError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either will do
