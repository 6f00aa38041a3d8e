"""Data augmentation: value range, order, limits and each kind of deformation."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nncore import scale_pixels
from nncore.types import Array
from trainer.augmentation import (
    DEFAULT_STRENGTH,
    GROUP_SIZE,
    NOISY_SHARE,
    Augmentation,
    Strength,
    applies_to,
)
from trainer.errors import TrainerError

NONE = Strength(rotation=0, scale=0, shear=0, shift=0, elastic=0, thickness=0, noise=0)
CLEAN = replace(DEFAULT_STRENGTH, noise=0)

shapes = pytest.mark.parametrize("shape", [(28, 28), (2, 2), (3, 9)], ids=str)


def noise(count: int, shape: tuple[int, ...] = (28, 28)) -> Array:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


def squares(count: int) -> Array:
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 10:18, 10:18] = 255
    return images


def deform(images: Array, strength: Strength = DEFAULT_STRENGTH, seed: int = 0) -> Array:
    return Augmentation(images.shape[1:], np.random.default_rng(seed), strength)(images)


@shapes
def test_without_deformation_images_are_only_scaled(shape: tuple[int, int]) -> None:
    images = noise(GROUP_SIZE + 3, shape)
    expected = scale_pixels(images).reshape(len(images), -1)
    np.testing.assert_allclose(deform(images, NONE), expected, atol=1e-6)


@shapes
@pytest.mark.parametrize("count", [1, GROUP_SIZE, 2 * GROUP_SIZE + 1])
def test_the_result_is_float32_rows_in_0_to_1(count: int, shape: tuple[int, int]) -> None:
    images = noise(count, shape)
    before = images.copy()
    deformed = deform(images)
    assert deformed.shape == (count, shape[0] * shape[1])
    assert deformed.dtype == np.float32
    assert 0 <= deformed.min() <= deformed.max() <= 1 + 1e-6
    np.testing.assert_array_equal(images, before)


def test_images_keep_their_order() -> None:
    levels = np.arange(100, dtype=np.uint8)
    deformed = deform(np.tile(levels[:, None, None], (1, 28, 28)), CLEAN)
    np.testing.assert_allclose(deformed.mean(axis=1), levels / 255, atol=1e-5)


def test_strokes_grow_and_shrink_by_up_to_a_pixel_on_each_side() -> None:
    deformed = deform(squares(100 * GROUP_SIZE), replace(NONE, thickness=1))
    ink = deformed.sum(axis=1)
    assert 6 * 6 <= ink.min() < 6 * 6 + 2
    assert 8 * 8 + 4 * 8 - 2 < ink.max() <= 8 * 8 + 4 * 8
    assert len(np.unique(ink.round(3))) > 70  # one value per group, except those at the limit
    pictures = deformed.reshape(-1, 28, 28)
    np.testing.assert_allclose(pictures, pictures[:, ::-1, ::-1], atol=1e-6)


def test_a_share_of_the_groups_is_noisy() -> None:
    groups = deform(np.full((200 * GROUP_SIZE, 8, 8), 128, np.uint8), replace(NONE, noise=0.3))
    deviations = groups.reshape(200, -1).std(axis=1)
    assert (deviations > 1e-6).mean() == pytest.approx(NOISY_SHARE, abs=0.1)
    assert 0.2 < deviations.max() <= 0.32


def test_deformation_keeps_the_ink_near_its_position() -> None:
    deformed = deform(squares(320), replace(CLEAN, thickness=0)).reshape(-1, 28, 28)
    ink = deformed.sum(axis=(1, 2))
    assert 28 < ink.min() < ink.max() < 115  # 64 before
    rows = (deformed.sum(axis=2) @ np.arange(28)) / ink
    columns = (deformed.sum(axis=1) @ np.arange(28)) / ink
    for centres in (rows, columns):
        assert np.abs(centres - 13.5).max() < 5
        assert centres.mean() == pytest.approx(13.5, abs=1)


def test_deformations_depend_on_the_seed_and_differ_at_each_call() -> None:
    images = noise(40)
    np.testing.assert_array_equal(deform(images, seed=3), deform(images, seed=3))
    assert not np.array_equal(deform(images, seed=3), deform(images, seed=4))
    augmentation = Augmentation((28, 28), np.random.default_rng(0), DEFAULT_STRENGTH)
    assert not np.array_equal(augmentation(images), augmentation(images))


@pytest.mark.parametrize(
    "kind", ["rotation", "scale", "shear", "shift", "elastic", "thickness", "noise"]
)
def test_each_kind_of_deformation_changes_the_images(kind: str) -> None:
    images = noise(20 * GROUP_SIZE)
    strength = replace(NONE, **{kind: getattr(DEFAULT_STRENGTH, kind)})
    assert np.abs(deform(images, strength) - deform(images, NONE)).max() > 0.01


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rotation", -1, "expected rotation of 0 or more, got -1"),
        ("noise", math.nan, "expected noise of 0 or more, got nan"),
        ("shift", math.inf, "expected shift of 0 or more, got inf"),
        ("smoothness", 0, "expected a smoothness over 0"),
        ("thickness", 1.1, "expected a thickness of at most 1 pixel, got 1.1"),
    ],
)
def test_an_invalid_strength_is_rejected(name: str, value: float, message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        replace(DEFAULT_STRENGTH, **{name: value})


def test_it_applies_to_images_with_rows_and_columns() -> None:
    assert all(map(applies_to, [(28, 28), (2, 2)]))
    assert not any(map(applies_to, [(1, 28), (28, 1), (784,), (28, 28, 3), ()]))
