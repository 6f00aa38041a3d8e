"""The `.npz` loader: plain arrays are read, everything else is rejected and never unpickled."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nncore.types import Array
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


def npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_images_and_labels_are_read_with_or_without_test_images(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "toy.npz", names=np.array(["a", "b"]))
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


def test_memory_order_and_byte_order_do_not_matter(tmp_path: Path) -> None:
    path = save_npz(
        tmp_path / "toy.npz",
        images=np.asfortranarray(TOY.images / 255).astype(">f4"),
        labels=TOY.labels.astype(">i2"),
    )
    data = load_npz(path, "toy")
    np.testing.assert_array_equal(data.train.images, TOY.images)
    np.testing.assert_array_equal(data.train.labels, TOY.labels)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": None}, "expected arrays images and labels, got labels"),
        ({"images": None, "labels": None}, "expected arrays images and labels, got none"),
        ({"test_images": TOY.images}, "arrays test_images and test_labels, got"),
        ({"labels": TOY.labels[1:]}, "(images): expected one label for each of 120 images"),
        ({"images": 1}, "(images): expected images (count, height, width)"),
        (
            {"test_images": TOY.images[1:], "test_labels": TOY.labels},
            "(test_images): expected one label for each of 119 images",
        ),
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
        lambda whole: b"",
        lambda whole: b"hello, world\n" * 99,
        lambda whole: npy(TOY.images),
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[100:],
        lambda whole: whole.replace(b"\xfa", b"\xfb", 1),
    ],
    ids=["empty", "text", "one array", "first half", "no beginning", "a changed pixel"],
)
def test_a_damaged_file_is_rejected(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = save_npz(tmp_path / "toy.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert "expected an .npz of plain arrays" in rejection(path)


def test_a_changed_byte_is_detected_or_has_no_effect_on_the_shapes(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "toy.npz", images=TOY.images[:3], labels=TOY.labels[:3])
    whole = path.read_bytes()
    positions = range(0, len(whole), 7)
    rejected = 0
    for position in positions:
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        try:
            data = load_npz(path, "toy")
        except DataError:
            rejected += 1
        else:
            assert len(data.train.images) == len(data.train.labels)
    assert rejected > len(positions) / 2
