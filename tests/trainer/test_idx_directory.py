"""A directory of IDX files: its file names, optional test images, missing and ambiguous files."""

import gzip
import hashlib
import os
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


def rejection(folder: Path) -> str:
    with pytest.raises(DataError) as error:
        load_idx_directory(folder, "toy")
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize(
    "test_names",
    [
        tuple(TEST),
        ("test-images-idx3-ubyte", "test-labels-idx1-ubyte"),
        ("letters-t10k-images.idx", "letters-t10k-labels.idx"),
    ],
)
def test_all_four_files_are_loaded_under_any_of_their_names(
    tmp_path: Path, test_names: tuple[str, str], *, gzipped: bool
) -> None:
    arrays = TRAIN | dict(zip(test_names, TEST.values(), strict=True))
    data = load_idx_directory(write(tmp_path, arrays, gzipped=gzipped), "toy")
    assert (data.name, data.test is not None) == ("toy", True)
    parts = [p for part in (data.train, data.test) if part for p in (part.images, part.labels)]
    for got, expected in zip(parts, arrays.values(), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert data.digests == {
        name: hashlib.sha256(idx_bytes(array)).hexdigest() for name, array in arrays.items()
    }


def test_test_images_are_optional_and_other_files_ignored(tmp_path: Path) -> None:
    write(tmp_path, {f"letters-{name}": array for name, array in TRAIN.items()})
    (tmp_path / "README").write_text("letters")
    data = load_idx_directory(tmp_path, "toy")
    assert (len(data.train), data.test) == (30, None)


def test_a_directory_without_training_images_is_rejected(tmp_path: Path) -> None:
    assert "expected *train-images* and *train-labels*" in rejection(write(tmp_path, TEST))


@pytest.mark.parametrize("name", [*TRAIN, *TEST])
def test_a_missing_ambiguous_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    path, pattern = tmp_path / name, name.split("-idx")[0]
    write(tmp_path, TRAIN | TEST)
    os.truncate(path, path.stat().st_size - 1)
    assert rejection(tmp_path).startswith(f"{path}: expected ")
    path.unlink()
    assert rejection(tmp_path) == f"{tmp_path}: expected one file *{pattern}*, got none"
    write(write(tmp_path, TRAIN | TEST), {name: IMAGES}, gzipped=True)
    assert f"got {name}, {name}.gz" in rejection(tmp_path)
