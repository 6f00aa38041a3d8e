"""Images and labels are checked once, as they come in: what is wrong is said with its origin."""

import re

import numpy as np
import pytest

from nncore.types import Array
from tests.support.data import toy_problem
from trainer.errors import DataError
from trainer.labelled_images import LARGEST_CLASS_COUNT, ImageData, LabelledImages

IMAGES = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_grey_levels_are_taken_as_they_are() -> None:
    checked = LabelledImages.checked(IMAGES, LABELS.astype(np.uint8), "here")
    assert checked.images is IMAGES
    assert checked.labels.dtype == np.int64
    np.testing.assert_array_equal(checked.labels, LABELS)
    assert len(checked) == 6


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_become_the_grey_levels_they_stand_for(dtype: type) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    checked = LabelledImages.checked((levels / 255).astype(dtype), np.arange(4), "here")
    assert checked.images.dtype == np.uint8
    np.testing.assert_array_equal(checked.images, levels)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 23 * 1.01, "got float64 from 0.0 to 1.01"),
        (IMAGES - 1.0, "got float64 from -1.0"),
        (np.where(IMAGES == 3, np.nan, 0.5), "got float64 from nan to nan"),
        (np.where(IMAGES == 3, np.inf, 0.5), "got float64 from 0.5 to inf"),
        (IMAGES.astype(np.int64), "got int64 from 0 to 23"),
        (IMAGES.astype(np.int8), "got int8 from 0 to 23"),
        (IMAGES > 9, "got bool"),
        (IMAGES * 1j, "got complex128"),
        (IMAGES.astype(str), "got <U"),
        (IMAGES.astype("datetime64[s]"), "got datetime64"),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, np.ndarray) else None,
)
def test_other_images_are_refused(images: Array, message: str) -> None:
    with pytest.raises(DataError, match=r"^here: expected images as uint8, or as floats") as error:
        LabelledImages.checked(images, LABELS, "here")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(), (6,), (0, 2, 2), (6, 0, 2), (6, 2, 0)])
def test_what_has_not_the_shape_of_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="^here: expected images .*" + re.escape(f"got {shape}")):
        LabelledImages.checked(np.zeros(shape, np.uint8), LABELS, "here")


@pytest.mark.parametrize("shape", [(), (0,), (5,), (7,), (6, 1), (6, 3)])
def test_anything_but_one_label_an_image_is_refused(shape: tuple[int, ...]) -> None:
    message = "^here: expected one label for each of 6 images, got .*" + re.escape(f"{shape}")
    with pytest.raises(DataError, match=message):
        LabelledImages.checked(IMAGES, np.zeros(shape, np.uint8), "here")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS - 1, "got int64 from -1"),
        ((LABELS - 9).astype(np.int8), "got int8 from -9"),
        (LABELS.astype(np.float64), "got float64"),
        (LABELS * np.nan, "got float64"),
        (LABELS > 0, "got bool"),
        (LABELS * 1j, "got complex128"),
        (np.array(list("abcabc")), "got <U1"),
        (np.array(list("abcabc"), "S1"), "got |S1"),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, np.ndarray) else None,
)
def test_labels_that_are_no_integers_from_0_on_are_refused(labels: Array, message: str) -> None:
    with pytest.raises(DataError, match=r"^here: expected labels that are integers") as error:
        LabelledImages.checked(IMAGES, labels, "here")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_label_beyond_every_class_does_not_wrap_around_to_a_negative_one() -> None:
    labels = np.array([0, 1, 2, 1, 0, 2**63], np.uint64)

    def check() -> None:
        train = LabelledImages.checked(IMAGES, labels, "here")
        ImageData("toy", train, None, {}).check_classes(None)

    with pytest.raises(DataError, match="expected"):
        check()


def test_a_split_divides_without_loss_or_repetition(rng: np.random.Generator) -> None:
    images = np.arange(20, dtype=np.uint8).reshape(20, 1, 1)
    rest, taken = LabelledImages(images, np.arange(20)).split(7, rng)
    assert (len(rest), len(taken)) == (13, 7)
    np.testing.assert_array_equal(np.sort(np.append(rest.labels, taken.labels)), np.arange(20))
    for part in (rest, taken):
        assert part.images.dtype == np.uint8
        np.testing.assert_array_equal(part.images.ravel(), part.labels)


def data_set(train_labels: Array, test_labels: Array | None = None) -> ImageData:
    train, test = (
        LabelledImages(np.zeros((len(labels), 2, 2), np.uint8), labels)
        if labels is not None
        else None
        for labels in (train_labels, test_labels)
    )
    assert train is not None
    return ImageData("toy", train, test, {})


def test_there_is_a_class_for_every_label_up_to_the_highest() -> None:
    assert data_set(np.array([0, 4, 1])).check_classes(None) == 5
    assert data_set(np.array([0, 4, 1]), np.array([0, 6])).check_classes(None) == 7


@pytest.mark.parametrize(("train", "test"), [([0, 3], [0]), ([0], [3])])
def test_labels_outside_the_classes_are_refused(train: list[int], test: list[int]) -> None:
    with pytest.raises(DataError, match=r"^toy: expected labels in 0..2, got 3; --classes"):
        data_set(np.array(train), np.array(test)).check_classes(3)


@pytest.mark.parametrize("highest", [0, LARGEST_CLASS_COUNT, 10**15])
def test_fewer_than_two_classes_or_far_too_many_are_refused(highest: int) -> None:
    with pytest.raises(DataError, match=f"expected 2 to {LARGEST_CLASS_COUNT} classes, got"):
        data_set(np.array([0, highest])).check_classes(None)


def test_test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(4, 3\) like the training.*got \(3, 4\)"):
        ImageData("toy", toy_problem(9), toy_problem(9, shape=(3, 4)), {})
