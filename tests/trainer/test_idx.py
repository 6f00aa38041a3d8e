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


def write(folder: Path, content: bytes) -> Path:
    path = folder / "some-idx3-ubyte"
    path.write_bytes(content)
    return path


def test_an_array_is_read_as_specified(tmp_path: Path) -> None:
    expected = np.array([[[0, 127], [128, 255]]], np.uint8)
    np.testing.assert_array_equal(read_idx(write(tmp_path, WHOLE)).array, expected, strict=True)


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
    "gzip cut": (gzip.compress(WHOLE)[:-1], "gzip"),
    "bytes after gzip": (gzip.compress(WHOLE) + b"garbage", "expected a complete gzip file"),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("gzipped", [False, True])
def test_a_malformed_file_is_rejected_in_one_line(tmp_path: Path, kind: str, gzipped: bool) -> None:
    content, message = MALFORMED[kind]
    if gzipped and "gzip" not in kind:
        content = gzip.compress(content)
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
