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
    Augmentation,
    Strength,
)
from trainer.errors import TrainerError

NONE = Strength(rotation=0, scale=0, shear=0, shift=0, elastic=0, thickness=0, noise=0)


def noise(count: int, shape: tuple[int, ...] = (28, 28)) -> Array:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


def squares(count: int) -> Array:
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 10:18, 10:18] = 255
    return images


def deform(images: Array, strength: Strength = DEFAULT_STRENGTH, seed: int = 0) -> Array:
    return Augmentation(images.shape[1:], np.random.default_rng(seed), strength)(images)


@pytest.mark.parametrize("shape", [(28, 28), (2, 2), (3, 9)], ids=str)
@pytest.mark.parametrize("count", [1, GROUP_SIZE, 2 * GROUP_SIZE + 1])
def test_the_result_is_float32_rows_in_0_to_1(count: int, shape: tuple[int, int]) -> None:
    images = noise(count, shape)
    before = images.copy()
    rows = scale_pixels(images).reshape(count, -1)
    np.testing.assert_allclose(deform(images, NONE), rows, atol=1e-6)
    deformed = deform(images)
    assert deformed.shape == rows.shape
    assert deformed.dtype == np.float32
    assert 0 <= deformed.min() <= deformed.max() <= 1 + 1e-6
    np.testing.assert_array_equal(images, before)


def test_images_keep_their_order() -> None:
    levels = np.arange(100, dtype=np.uint8)
    clean = replace(DEFAULT_STRENGTH, noise=0)
    deformed = deform(np.tile(levels[:, None, None], (1, 28, 28)), clean)
    np.testing.assert_allclose(deformed.mean(axis=1), levels / 255, atol=1e-5)


def test_strokes_grow_and_shrink_by_up_to_a_pixel_on_each_side() -> None:
    ink = deform(squares(100 * GROUP_SIZE), replace(NONE, thickness=1)).sum(axis=1)
    assert 6 * 6 <= ink.min() < 6 * 6 + 2
    assert 8 * 8 + 4 * 8 - 2 < ink.max() <= 8 * 8 + 4 * 8


@pytest.mark.parametrize("border", [np.s_[:, :, 0], np.s_[:, :, -1], np.s_[:, 0], np.s_[:, -1]])
def test_strokes_do_not_grow_across_the_edges(border: tuple[slice | int, ...]) -> None:
    images = np.zeros((20 * GROUP_SIZE, 6, 5), np.uint8)
    images[border] = 255
    changed = deform(images, replace(NONE, thickness=1)).reshape(images.shape)
    grown = changed.sum(axis=(1, 2)) > images[0].sum() / 255
    assert grown.any()
    opposite = changed[:, ::-1, ::-1][border]
    np.testing.assert_array_equal(np.delete(opposite, [0, -1], axis=1), 0)


def test_deformation_keeps_the_ink_near_its_position() -> None:
    strength = replace(DEFAULT_STRENGTH, thickness=0, noise=0)
    deformed = deform(squares(320), strength).reshape(-1, 28, 28)
    ink = deformed.sum(axis=(1, 2))
    assert 28 < ink.min() < ink.max() < 115  # 64 before
    for axis in (1, 2):
        centres = deformed.sum(axis=axis) @ np.arange(28) / ink
        assert np.abs(centres - 13.5).max() < 5
        assert centres.mean() == pytest.approx(13.5, abs=1)


def test_deformations_depend_on_the_seed_and_differ_at_each_call() -> None:
    images = noise(40)
    augmentation = Augmentation((28, 28), np.random.default_rng(3), DEFAULT_STRENGTH)
    np.testing.assert_array_equal(augmentation(images), deform(images, seed=3))
    assert not np.array_equal(augmentation(images), deform(images, seed=3))
    assert not np.array_equal(deform(images, seed=4), deform(images, seed=3))


@pytest.mark.parametrize("kind", sorted(vars(NONE).keys() - {"smoothness"}))
def test_each_kind_of_deformation_changes_the_images(kind: str) -> None:
    images = noise(20 * GROUP_SIZE)
    strength = replace(NONE, **{kind: getattr(DEFAULT_STRENGTH, kind)})
    assert np.abs(deform(images, strength) - deform(images, NONE)).max() > 0.01


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotation", -1),
        ("noise", math.nan),
        ("shift", math.inf),
        ("scale", 10**400),
        ("smoothness", 0),
        ("thickness", 1.1),
    ],
)
def test_an_invalid_strength_is_rejected(name: str, value: float) -> None:
    with pytest.raises(TrainerError, match=f"expected .*{name}"):
        replace(DEFAULT_STRENGTH, **{name: value})
