"""The synthetic digits are reproducible, framed as MNIST frames its own, and readable."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.synthetic import generate_digits

Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return generate_digits(2000, seed=1)


def as_rows(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Flatten images (n, 28, 28) to rows (n, 784) in 0..1."""
    return images.reshape(len(images), -1) / 255


def test_shapes_and_types(digits: Digits) -> None:
    images, labels = digits
    assert images.shape == (2000, 28, 28)
    assert labels.shape == (2000,)
    assert images.dtype == labels.dtype == np.uint8


@pytest.mark.parametrize("count", [0, -3])
def test_count_below_one_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"expected a count of at least 1, got {count}$"):
        generate_digits(count, seed=0)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
def test_a_longer_run_begins_with_a_shorter_one(digits: Digits, count: int) -> None:
    images, labels = generate_digits(count, seed=1)
    np.testing.assert_array_equal(images, digits[0][:count])
    np.testing.assert_array_equal(labels, digits[1][:count])


def test_classes_are_balanced(digits: Digits) -> None:
    counts = np.bincount(digits[1], minlength=10)
    assert counts.shape == (10,)
    assert counts.min() > 140  # 200 expected, 13 the standard deviation
    assert counts.max() < 260


def test_ink_is_white_on_black(digits: Digits) -> None:
    images, _ = digits
    assert (images.max(axis=(1, 2)) > 200).all()
    assert np.median(images) == 0
    ink = as_rows(images).mean(axis=1)
    assert ink.min() > 0.02
    assert ink.max() < 0.35
    assert 0.11 < ink.mean() < 0.15  # MNIST: 0.131


def test_ink_stays_inside_the_frame(digits: Digits) -> None:
    images, _ = digits
    inside = images[:, 1:-1, 1:-1].sum(axis=(1, 2), dtype=np.int64)
    total = images.sum(axis=(1, 2), dtype=np.int64)
    assert (inside > 0.95 * total).all()
    assert inside.sum() > 0.999 * total.sum()


def test_ink_is_centred_by_mass(digits: Digits) -> None:
    images = digits[0].astype(np.float64)
    mass = images.sum(axis=(1, 2))
    pixels = np.arange(28)
    x = images.sum(axis=1) @ pixels / mass
    y = images.sum(axis=2) @ pixels / mass
    assert abs(x.mean() - 14) < 0.2
    assert abs(y.mean() - 14) < 0.2
    assert np.abs(x - 14).max() < 2.2
    assert np.abs(y - 14).max() < 2.2


def test_unseen_digits_read_like_their_nearest_neighbours(digits: Digits) -> None:
    """Pixels of one seed's digits tell another seed's apart: 91.4 % of them when written."""
    images, labels = digits
    unseen, truth = generate_digits(1000, seed=2)
    known, rows = as_rows(images), as_rows(unseen)
    distances = (known**2).sum(axis=1) - 2 * rows @ known.T
    right = labels[distances.argmin(axis=1)] == truth
    assert right.mean() > 0.85
    assert min(right[truth == digit].mean() for digit in range(10)) > 0.65
