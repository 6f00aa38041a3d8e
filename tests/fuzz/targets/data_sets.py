"""What a trainer is given: IDX files and `.npz` files."""

import gzip
from collections.abc import Callable
from typing import TypeVar

from tests.fuzz.scratch import FOLDER
from tests.fuzz.targets.expectations import check_message
from trainer.errors import DataError
from trainer.idx import IdxFile, read_idx
from trainer.idx_directory import load_idx_directory
from trainer.labelled_images import LARGEST_CLASS_COUNT, ImageData
from trainer.npz import load_npz

T = TypeVar("T")

_TWO_LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1])


def read_idx_file(data: bytes) -> bool:
    """Read an IDX file, alone and then as the images of a data set of two."""
    path = FOLDER / "train-images-idx"
    path.write_bytes(data)
    file = _unless_refused(lambda: read_idx(path))
    if file is None:
        return False
    _check_values(file, gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    (FOLDER / "train-labels-idx").write_bytes(_TWO_LABELS)
    data_set = _unless_refused(lambda: load_idx_directory(FOLDER, "two"))
    if data_set is not None:
        _check(data_set)
    return True


def read_npz_file(data: bytes) -> bool:
    """Read a data set from an `.npz` file."""
    path = FOLDER / "tiny.npz"
    path.write_bytes(data)
    data_set = _unless_refused(lambda: load_npz(path, "tiny"))
    if data_set is None:
        return False
    _check(data_set)
    return True


def _unless_refused(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except DataError as error:
        check_message(str(error))
        return None


def _check_values(file: IdxFile, plain: bytes) -> None:
    array = file.array
    assert plain[3] == array.ndim
    values = array.astype(array.dtype.newbyteorder(">")).tobytes()
    assert plain[4 + 4 * array.ndim :] == values


def _check(data_set: ImageData) -> None:
    for part in (data_set.train, data_set.test):
        if part is not None:
            assert part.images.dtype.str == "|u1"
            assert part.labels.dtype.str[1:] == "i8"
            assert len(part.images) == len(part.labels) > 0
            assert 0 <= part.labels.min() <= part.labels.max() < LARGEST_CLASS_COUNT
