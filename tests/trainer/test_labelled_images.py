"""Validation of images and labels: conversions, errors that name their origin, splits, classes."""

import re

import numpy as np
import pytest

from nncore.types import Array
from tests.support.data import toy_problem
from trainer.errors import DataError
from trainer.labelled_images import LARGEST_CLASS_COUNT, ImageData, LabelledImages

IMAGES = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_grey_levels_are_not_copied_and_labels_become_int64() -> None:
    checked = LabelledImages.checked(IMAGES, LABELS.astype(np.uint8), "here")
    assert checked.images is IMAGES
    assert checked.labels.dtype == np.int64
    np.testing.assert_array_equal(checked.labels, LABELS)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_floats_in_0_to_1_become_grey_levels(dtype: type) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    checked = LabelledImages.checked((levels / 255).astype(dtype), np.arange(4), "here")
    np.testing.assert_array_equal(checked.images, levels, strict=True)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES / 23 * 1.01, LABELS, "images .*got float64 from 0.0 to 1.01"),
        (np.where(IMAGES == 3, np.nan, 0.5), LABELS, "images .*got float64 from nan to nan"),
        (IMAGES.astype(np.int64), LABELS, "images .*got int64 from 0 to 23"),
        (IMAGES > 9, LABELS, "images .*got bool"),
        (np.zeros((6, 0, 2), np.uint8), LABELS, re.escape("images (count, height, width), got (6")),
        (IMAGES, LABELS - 1, ".*got int64 from -1"),
        (IMAGES, LABELS.astype(np.float64), ".*got float64"),
        (IMAGES, np.array(list("abcabc")), ".*got <U1"),
        (IMAGES, np.array([0, 1, 2, 1, 0, 2**63], np.uint64), "labels below"),  # -2**63 as int64
        (IMAGES, LABELS[1:], re.escape("one label for each of 6 images, got labels of shape (5,)")),
        (IMAGES, LABELS[:, None], ".*got labels of shape"),
    ],
)
def test_invalid_images_and_labels_are_rejected(images: Array, labels: Array, message: str) -> None:
    with pytest.raises(DataError, match=f"^here: expected {message}"):
        LabelledImages.checked(images, labels, "here")


def test_a_split_divides_at_random_without_loss_or_repetition() -> None:
    images = np.arange(20, dtype=np.uint8).reshape(20, 1, 1)
    data = LabelledImages(images, np.arange(20))
    rest, taken = data.split(7, np.random.default_rng(1))
    assert (len(rest), len(taken)) == (13, 7)
    np.testing.assert_array_equal(np.sort(np.append(rest.labels, taken.labels)), np.arange(20))
    for part in (rest, taken):
        np.testing.assert_array_equal(part.images.ravel(), part.labels)
    _, other = data.split(7, np.random.default_rng(2))
    assert taken.labels.tolist() != other.labels.tolist()


def data_set(train: list[int], test: list[int]) -> ImageData:
    def part(labels: list[int]) -> LabelledImages:
        return LabelledImages(np.zeros((len(labels), 2, 2), np.uint8), np.array(labels))

    return ImageData("toy", part(train), part(test), {})


def test_the_number_of_classes_follows_the_highest_label_unless_given() -> None:
    assert data_set([0, 4, 1], [0, 6]).check_classes(None) == 7
    assert data_set([0, 4, 1], [0]).check_classes(12) == 12
    for train, test in [([0, 3], [0]), ([0], [3])]:
        with pytest.raises(DataError, match=r"^toy: expected labels in 0..2, got 3; .*--classes"):
            data_set(train, test).check_classes(3)
    for highest in (0, LARGEST_CLASS_COUNT):
        with pytest.raises(DataError, match=f"expected 2 to {LARGEST_CLASS_COUNT} classes, got"):
            data_set([0, highest], [0]).check_classes(None)


def test_test_images_of_another_shape_are_rejected() -> None:
    with pytest.raises(DataError, match=r"shape \(4, 3\), as in training, got \(3, 4\)"):
        ImageData("toy", toy_problem(9), toy_problem(9, shape=(3, 4)), {})
