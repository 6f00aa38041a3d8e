"""Synthetic digits: reproducible, framed like MNIST, and distinguishable."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.synthetic import generate_digits

Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return generate_digits(1200, seed=1)


def as_rows(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Flatten images (n, 28, 28) to rows (n, 784) in 0..1."""
    return images.reshape(len(images), -1) / 255


def test_images_differ_and_classes_are_balanced(digits: Digits) -> None:
    images, labels = digits
    assert (images.shape, labels.shape) == ((1200, 28, 28), (1200,))
    assert images.dtype == labels.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 1200
    counts = np.bincount(labels, minlength=10)
    assert 80 < counts.min() <= counts.max() < 165  # 120 expected, 10 the standard deviation


def test_a_count_below_1_is_rejected() -> None:
    with pytest.raises(ValueError, match="expected a count of at least 1, got 0"):
        generate_digits(0, seed=0)


@pytest.mark.parametrize("count", [1, 257])
def test_more_images_of_a_seed_begin_with_the_same_images(digits: Digits, count: int) -> None:
    images, labels = generate_digits(count, seed=1)
    np.testing.assert_array_equal(images, digits[0][:count])
    np.testing.assert_array_equal(labels, digits[1][:count])


def test_ink_is_white_on_black_inside_the_frame(digits: Digits) -> None:
    images, _ = digits
    assert (images.max(axis=(1, 2)) > 200).all()
    ink = as_rows(images).mean(axis=1)
    assert 0.02 < ink.min() < ink.max() < 0.35
    assert 0.11 < ink.mean() < 0.15  # MNIST: 0.131
    inside = images[:, 1:-1, 1:-1].sum(axis=(1, 2), dtype=np.int64)
    assert (inside > 0.95 * images.sum(axis=(1, 2), dtype=np.int64)).all()


def test_ink_is_centred_by_mass(digits: Digits) -> None:
    images = digits[0].astype(np.float64)
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centres = images.sum(axis=axis) @ np.arange(28) / mass
        assert abs(centres.mean() - 14) < 0.2
        assert np.abs(centres - 14).max() < 2.2


def test_nearest_neighbours_classify_the_digits_of_another_seed(digits: Digits) -> None:
    images, labels = digits
    unseen, truth = generate_digits(500, seed=2)
    known, rows = as_rows(images), as_rows(unseen)
    distances = (known**2).sum(axis=1) - 2 * rows @ known.T
    assert (labels[distances.argmin(axis=1)] == truth).mean() > 0.8
