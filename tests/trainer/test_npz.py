"""The `.npz` loader: plain arrays are read, everything else is rejected and never unpickled."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.data import save_npz, toy_problem
from trainer.errors import DataError
from trainer.npz import load_npz

TOY = toy_problem()
unpickled: list[str] = []


class Bomb:
    """An object whose unpickling runs code."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return unpickled.append, ("boom",)


def rejection(path: Path) -> str:
    with pytest.raises(DataError) as error:
        load_npz(path, "toy")
    assert str(error.value).startswith(f"{path}")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_images_and_labels_are_read_with_or_without_test_images(tmp_path: Path) -> None:
    path = save_npz(
        tmp_path / "toy.npz",
        images=np.asfortranarray(TOY.images / 255).astype(">f4"),
        labels=TOY.labels.astype(">i2"),
        names=np.array(["a", "b"]),
    )
    data = load_npz(path, "letters")
    np.testing.assert_array_equal(data.train.images, TOY.images)
    np.testing.assert_array_equal(data.train.labels, TOY.labels)
    assert (data.name, data.test) == ("letters", None)
    assert data.digests == {"toy.npz": hashlib.sha256(path.read_bytes()).hexdigest()}
    save_npz(path, test_images=TOY.images[:5], test_labels=TOY.labels[:5])
    test = load_npz(path, "toy").test
    assert test is not None
    np.testing.assert_array_equal(test.images, TOY.images[:5])
    np.testing.assert_array_equal(test.labels, TOY.labels[:5])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": None}, "expected arrays images and labels, got labels"),
        ({"test_images": TOY.images}, "arrays test_images and test_labels, got"),
        ({"labels": TOY.labels[1:]}, "(images): expected one label for each of 120 images"),
        ({"images": 1}, "(images): expected images (count, height, width)"),
    ],
)
def test_a_missing_or_invalid_array_is_named(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    assert message in rejection(save_npz(tmp_path / "toy.npz", **arrays))


def test_pickled_objects_are_rejected_and_not_unpickled(tmp_path: Path) -> None:
    bomb = np.array([Bomb()], object)
    for name in ("images", "other"):
        path = save_npz(tmp_path / "toy.npz", **{name: bomb})
        assert "expected an .npz of plain arrays" in rejection(path)
    with path.open("wb") as file:
        bomb.dump(file)
    assert "expected an .npz of plain arrays" in rejection(path)
    assert not unpickled


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"\x93NUMPY\1\0hello, world\n",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[100:],
        lambda whole: whole.replace(b"\xfa", b"\xfb", 1),
    ],
    ids=["empty", "one array", "first half", "no beginning", "a changed pixel"],
)
def test_a_damaged_file_is_rejected(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = save_npz(tmp_path / "toy.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert "expected an .npz of plain arrays" in rejection(path)
