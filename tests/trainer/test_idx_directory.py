"""A directory of IDX files: what it must hold, what it may hold, and what is ambiguous."""

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


def write(folder: Path, arrays: dict[str, Array], gzipped: bool = False) -> Path:
    for name, array in arrays.items():
        content = idx_bytes(array)
        if gzipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as error:
        load_idx_directory(folder, "toy")
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_directory_with_all_four_files(tmp_path: Path, gzipped: bool) -> None:
    data = load_idx_directory(write(tmp_path, TRAIN | TEST, gzipped), "toy")
    assert data.name == "toy"
    assert data.test is not None
    np.testing.assert_array_equal(data.train.images, IMAGES)
    np.testing.assert_array_equal(data.train.labels, LABELS)
    np.testing.assert_array_equal(data.test.images, IMAGES[:9])
    np.testing.assert_array_equal(data.test.labels, LABELS[:9])
    assert data.digests == {
        name: hashlib.sha256(idx_bytes(array)).hexdigest() for name, array in (TRAIN | TEST).items()
    }


@pytest.mark.parametrize(
    "names",
    [
        ("test-images-idx3-ubyte", "test-labels-idx1-ubyte"),
        ("letters-test-images-idx3-ubyte", "letters-test-labels-idx1-ubyte"),
        ("letters-t10k-images.idx", "letters-t10k-labels.idx"),
    ],
)
def test_test_images_go_by_several_names(tmp_path: Path, names: tuple[str, str]) -> None:
    write(tmp_path, TRAIN | dict(zip(names, TEST.values(), strict=True)), gzipped=True)
    data = load_idx_directory(tmp_path, "toy")
    assert data.test is not None
    np.testing.assert_array_equal(data.test.images, IMAGES[:9])
    assert set(names) < set(data.digests)


def test_a_directory_with_none_of_the_files_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"{tmp_path}: expected *train-images* and *train-labels* in IDX form, gzipped or not, "
        "got neither"
    )


@pytest.mark.parametrize("missing", [*TRAIN, *TEST])
def test_images_without_labels_and_labels_without_images_are_refused(
    tmp_path: Path, missing: str
) -> None:
    write(tmp_path, TRAIN | TEST)
    (tmp_path / missing).unlink()
    pattern = missing.split("-idx")[0]
    assert refusal(tmp_path) == f"{tmp_path}: expected one file *{pattern}*, got none"


@pytest.mark.parametrize("name", [*TRAIN, *TEST])
def test_a_file_that_is_there_twice_is_ambiguous(tmp_path: Path, name: str) -> None:
    write(write(tmp_path, TRAIN | TEST), {name: IMAGES}, gzipped=True)
    assert f"got {name}, {name}.gz" in refusal(tmp_path)


@pytest.mark.parametrize("name", [*TRAIN, *TEST])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, TRAIN | TEST)
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size - 1)
    assert refusal(tmp_path).startswith(f"{tmp_path / name}: expected ")
