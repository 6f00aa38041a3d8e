"""Deformed images are still images of the same things: in range, in place, in their order."""

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
SHAPES = [(28, 28), (2, 2), (3, 9), (20, 7)]


def noise(count: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


def deform(images: Array, strength: Strength = DEFAULT_STRENGTH, seed: int = 0) -> Array:
    return Augmentation(images.shape[1:], np.random.default_rng(seed), strength)(images)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_deformation_only_scales(shape: tuple[int, int]) -> None:
    images = noise(GROUP_SIZE + 3, shape)
    expected = scale_pixels(images).reshape(len(images), -1)
    np.testing.assert_allclose(deform(images, NONE), expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [1, GROUP_SIZE - 1, GROUP_SIZE, GROUP_SIZE + 1, 3 * GROUP_SIZE])
def test_deformed_images_are_single_precision_rows_from_0_to_1(
    count: int, shape: tuple[int, int]
) -> None:
    deformed = deform(noise(count, shape))
    assert deformed.shape == (count, shape[0] * shape[1])
    assert deformed.dtype == np.float32
    assert deformed.min() >= 0
    assert deformed.max() <= 1 + 1e-6


def test_images_keep_their_order() -> None:
    levels = np.arange(100, dtype=np.uint8)
    deformed = deform(np.tile(levels[:, None, None], (1, 28, 28)), CLEAN)
    np.testing.assert_allclose(deformed.mean(axis=1), levels / 255, atol=1e-5)


def squares(count: int) -> Array:
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 10:18, 10:18] = 255
    return images


def test_strokes_grow_and_shrink_by_up_to_a_pixel_on_each_side() -> None:
    ink = deform(squares(100 * GROUP_SIZE), replace(NONE, thickness=1)).sum(axis=1)
    assert 6 * 6 <= ink.min() < 6 * 6 + 2
    assert 8 * 8 + 4 * 8 - 2 < ink.max() <= 8 * 8 + 4 * 8
    assert len(np.unique(ink.round(3))) > 70  # a group's own, but where wholly thinned


def test_some_groups_are_noisy_and_the_others_clean() -> None:
    groups = deform(np.full((200 * GROUP_SIZE, 28, 28), 128, np.uint8), replace(NONE, noise=0.3))
    deviations = groups.reshape(200, -1).std(axis=1)
    noisy = deviations > 1e-6
    assert noisy.mean() == pytest.approx(NOISY_SHARE, abs=0.1)
    assert 0.2 < deviations.max() <= 0.3
    assert groups.min() >= 0
    assert groups.max() <= 1


def test_ink_stays_roughly_where_it_was() -> None:
    images = squares(320)
    deformed = deform(images, replace(CLEAN, thickness=0)).reshape(-1, 28, 28)
    ink = deformed.sum(axis=(1, 2))
    assert 28 < ink.min() < ink.max() < 115  # 64 before
    rows = (deformed.sum(axis=2) @ np.arange(28)) / ink
    columns = (deformed.sum(axis=1) @ np.arange(28)) / ink
    for centres in (rows, columns):
        assert np.abs(centres - 13.5).max() < 5
        assert centres.mean() == pytest.approx(13.5, abs=1)


def test_a_seed_repeats_itself_and_another_differs() -> None:
    images = noise(40, (28, 28))
    np.testing.assert_array_equal(deform(images, seed=3), deform(images, seed=3))
    assert not np.array_equal(deform(images, seed=3), deform(images, seed=4))


@pytest.mark.parametrize(
    ("strength", "moved"),
    [
        (replace(NONE, rotation=12), True),
        (replace(NONE, scale=0.12), True),
        (replace(NONE, shear=0.12), True),
        (replace(NONE, shift=1.5), True),
        (replace(NONE, elastic=0.8), True),
        (replace(NONE, thickness=1), True),
        (replace(NONE, noise=0.3), True),
        (NONE, False),
    ],
    ids=["rotation", "scale", "shear", "shift", "elastic", "thickness", "noise", "none"],
)
def test_each_kind_of_deformation_does_something(strength: Strength, moved: bool) -> None:
    images = noise(20 * GROUP_SIZE, (28, 28))
    plain = deform(images, NONE)
    assert (np.abs(deform(images, strength) - plain).max() > 0.01) == moved


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(({name: -1}, f"expected {name} of 0 or more, got -1") for name in vars(NONE)),
        *(({name: math.nan}, f"expected {name} of 0 or more, got nan") for name in vars(NONE)),
        ({"shift": math.inf}, "expected shift of 0 or more, got inf"),
        ({"smoothness": 0}, "expected a smoothness over 0"),
        ({"thickness": 1.1}, "expected a thickness of at most 1 pixel, got 1.1"),
    ],
)
def test_a_strength_that_cannot_be_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        replace(DEFAULT_STRENGTH, **values)


@pytest.mark.parametrize(
    ("shape", "applies"),
    [
        ((28, 28), True),
        ((2, 2), True),
        ((1, 28), False),
        ((28, 1), False),
        ((784,), False),
        ((28, 28, 3), False),
        ((), False),
    ],
)
def test_it_applies_to_images_with_rows_and_columns(shape: tuple[int, ...], applies: bool) -> None:
    assert applies_to(shape) == applies
