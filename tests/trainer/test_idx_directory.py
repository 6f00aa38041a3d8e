"""A directory of IDX files: its file names, optional test images, missing and ambiguous files."""

import gzip
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from nncore.types import Array
from tests.support.data import idx_bytes, toy_problem
from trainer.errors import DataError
from trainer.idx_directory import load_idx_directory

TOY = toy_problem(30)
IMAGES, LABELS = TOY.images, TOY.labels.astype(np.uint8)
TRAIN = {"train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": LABELS}
TEST = {"t10k-images-idx3-ubyte": IMAGES[:9], "t10k-labels-idx1-ubyte": LABELS[:9]}


def write(folder: Path, arrays: dict[str, Array], *, gzipped: bool = False) -> Path:
    for name, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(content) if gzipped else content)
    return folder


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize(
    "test_names",
    [
        tuple(TEST),
        ("test-images-idx3-ubyte", "test-labels-idx1-ubyte"),
        ("letters-t10k-images.idx", "letters-t10k-labels.idx"),
        (),
    ],
)
def test_images_are_loaded_under_any_of_their_names_and_test_images_are_optional(
    tmp_path: Path, test_names: tuple[str, ...], *, gzipped: bool
) -> None:
    arrays = TRAIN | dict(zip(test_names, TEST.values(), strict=False))
    (tmp_path / "README").write_text("letters")
    data = load_idx_directory(write(tmp_path, arrays, gzipped=gzipped), "toy")
    assert (data.name, data.test is not None) == ("toy", bool(test_names))
    parts = [p for part in (data.train, data.test) if part for p in (part.images, part.labels)]
    for got, expected in zip(parts, arrays.values(), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert data.digests == {
        name: hashlib.sha256(idx_bytes(array)).hexdigest() for name, array in arrays.items()
    }


def test_a_plain_file_is_read_before_a_gzipped_one(tmp_path: Path) -> None:
    write(tmp_path, TRAIN | TEST)
    write(tmp_path, {name: array[:3] for name, array in (TRAIN | TEST).items()}, gzipped=True)
    data = load_idx_directory(tmp_path, "toy")
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (len(IMAGES), 9)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_missing_ambiguous_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    def check(message: str) -> None:
        with pytest.raises(DataError, match=f"^{tmp_path}.*{re.escape(message)}"):
            load_idx_directory(tmp_path, "toy")

    check("expected *train-images* and *train-labels*")
    path = write(tmp_path, TRAIN | TEST) / name
    os.truncate(path, path.stat().st_size - 1)
    check(f"{name}: expected ")
    path.unlink()
    check("expected one file *")
    write(write(tmp_path, TRAIN | TEST), {f"other-{name}": IMAGES}, gzipped=True)
    check(f"got other-{name}.gz, {name}")
