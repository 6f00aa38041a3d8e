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
    assert images.dtype == labels.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 1200
    counts = np.bincount(labels, minlength=10)
    assert 80 < counts.min() <= counts.max() < 165  # 120 expected, 10 the standard deviation


@pytest.mark.parametrize("count", [1, 257])
def test_more_images_of_a_seed_begin_with_the_same_images(digits: Digits, count: int) -> None:
    for got, expected in zip(generate_digits(count, seed=1), digits, strict=True):
        np.testing.assert_array_equal(got, expected[:count])


def test_ink_is_like_that_of_mnist_in_amount_and_centred_by_mass(digits: Digits) -> None:
    images = digits[0].astype(np.float64)
    assert (images.max(axis=(1, 2)) > 200).all()
    assert 0.11 < as_rows(digits[0]).mean() < 0.15  # MNIST: 0.131
    mass = images.sum(axis=(1, 2))
    assert (images[:, 1:-1, 1:-1].sum(axis=(1, 2)) > 0.95 * mass).all()
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
