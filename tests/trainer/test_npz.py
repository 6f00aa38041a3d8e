"""A data set in one `.npz`: plain arrays are read, anything else is refused and never run."""

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
    """What a pickle can do to whoever opens it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return unpickled.append, ("boom",)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        load_npz(path, "toy")
    assert str(error.value).startswith(f"{path}")
    assert "\n" not in str(error.value)
    return str(error.value)


def npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_images_and_labels(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "toy.npz")
    data = load_npz(path, "letters")
    np.testing.assert_array_equal(data.train.images, TOY.images)
    np.testing.assert_array_equal(data.train.labels, TOY.labels)
    assert (data.name, data.test) == ("letters", None)
    assert data.digests == {"toy.npz": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_test_images_where_they_are_there(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "toy.npz", test_images=TOY.images[:5], test_labels=TOY.labels[:5])
    data = load_npz(path, "toy")
    assert data.test is not None
    np.testing.assert_array_equal(data.test.images, TOY.images[:5])
    np.testing.assert_array_equal(data.test.labels, TOY.labels[:5])


def test_arrays_in_column_order_and_big_endian_are_read_alike(tmp_path: Path) -> None:
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
        ({"labels": None}, "expected arrays images and labels, got images"),
        ({"images": None, "labels": None}, "expected arrays images and labels, got none"),
        ({"images": None, "labels": None, "x": 1}, "images and labels, got x"),
        ({"test_images": TOY.images}, "arrays test_images and test_labels, got"),
        ({"test_labels": TOY.labels}, "arrays test_images and test_labels, got"),
        ({"labels": TOY.labels[1:]}, "(images): expected one label for each of 120 images"),
        ({"labels": TOY.labels - 1}, "(images): expected labels that are integers from 0 on"),
        ({"labels": TOY.labels / 1}, "(images): expected labels that are integers from 0 on"),
        ({"labels": TOY.labels.astype(str)}, "(images): expected labels that are integers"),
        ({"images": TOY.images * 1.0}, "(images): expected images as uint8"),
        ({"images": TOY.images.astype(str)}, "(images): expected images as uint8"),
        ({"images": 1}, "(images): expected images (count, height, width)"),
        (
            {"test_images": TOY.images[1:], "test_labels": TOY.labels},
            "(test_images): expected one label for each of 119 images",
        ),
    ],
)
def test_a_missing_or_wrong_array_is_named(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    assert message in refusal(save_npz(tmp_path / "toy.npz", **arrays))


def test_objects_are_refused_without_unpickling_them(tmp_path: Path) -> None:
    for name in ("images", "labels", "other"):
        path = save_npz(tmp_path / "toy.npz", **{name: np.array([Bomb()], object)})
        assert "expected an .npz of plain arrays" in refusal(path)
    assert not unpickled


def test_a_bare_pickle_is_refused_without_unpickling_it(tmp_path: Path) -> None:
    path = tmp_path / "toy.npz"
    with path.open("wb") as file:
        np.array([Bomb()], object).dump(file)
    assert "expected an .npz of plain arrays" in refusal(path)
    assert not unpickled


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "text": lambda whole: b"hello, world\n" * 99,
    "a single array": lambda whole: npy(TOY.images),
    "half": lambda whole: whole[: len(whole) // 2],
    "without its end": lambda whole: whole[:-1],
    "without its beginning": lambda whole: whole[100:],
    "a flipped pixel": lambda whole: whole.replace(b"\xfa", b"\xfb", 1),
    "encrypted": encrypted,
    "compressed in an unknown way": compressed_in_an_unknown_way,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = save_npz(tmp_path / "toy.npz")
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    assert "expected an .npz of plain arrays" in refusal(path)


def test_a_changed_byte_is_found_or_does_no_harm(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "toy.npz", images=TOY.images[:3], labels=TOY.labels[:3])
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        for value in (0x00, 0xFF):
            changed = bytearray(whole)
            changed[position] = value
            path.write_bytes(changed)
            try:
                data = load_npz(path, "toy")
            except DataError as error:
                assert str(error).startswith(f"{path}")  # noqa: PT017 - either will do
                refused += 1
            else:
                assert len(data.train.images) == len(data.train.labels)
    assert refused > len(whole) / 6
