"""Pictures brought to the form of MNIST's images, the way those were made."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from nncore import MAX_PIXEL
from nncore.types import Array

# MNIST's ink fits 20x20 of its 28x28.
_INK_SHARE = 20 / 28
# Ink is looked for in a picture of at most this side, and measured in one of at most that.
_SEARCHED_SIDE = 192
_MEASURED_SIDE = 128
# Ink is off the paper by at least this much, in grey levels and in deviations of the paper's grain.
_LEAST_CONTRAST = 16
_LEAST_SIGNAL = 6
# Up to so many deviations it is grain.
_GRAIN = 3
_DEVIATIONS_PER_MEDIAN = 1.4826  # of a normal distribution
# The share of full ink at which the box around the ink begins. Chosen on training images, as the
# filter is; neither matters much.
_EDGE = 0.4
_FILTER = Image.Resampling.HAMMING
# What is as good as right is left as it is, so that MNIST's own images come out unchanged: contrast
# of this share of the whole, ink whose longer side is at most so many pixels off (to scale it would
# blur it), and a centre of mass at most so many pixels off.
_SAME_CONTRAST = 0.9
_SAME_SIZE = 2
_SAME_PLACE = 0.75


class _Ink(NamedTuple):
    """The straight line from the paper's colour to the ink's; how far a pixel is along, is ink."""

    paper: Array
    direction: Array

    def levels(self, colours: Array) -> Array | None:
        """Give the ink of each pixel, `(height, width)` in [0, 1]; None where there is none."""
        along = colours @ self.direction - self.paper @ self.direction
        full = float(np.percentile(along[along >= along.max() / 2], 90))
        deviation = _DEVIATIONS_PER_MEDIAN * float(np.median(np.abs(_border(along))))
        if full < max(_LEAST_CONTRAST, _LEAST_SIGNAL * deviation):
            return None
        grain = _GRAIN * deviation
        if full >= _SAME_CONTRAST * MAX_PIXEL:
            full = MAX_PIXEL
        levels: Array = np.clip((along - grain) / (full - grain), 0, 1)
        return levels


class _Box(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int


def bring_to_form(picture: Image.Image, shape: Sequence[int]) -> Array | None:
    """Find the ink, scale it to fit 20/28 of the shape, and centre it by its centre of mass.

    Args:
        picture: Of mode L or RGB; ink of any colour on paper of any other.
        shape: `(height, width)`.

    Returns:
        uint8 of the shape, 0 for no ink to 255 for full ink; None where the picture is blank.
    """
    shrink = math.ceil(max(picture.size) / _SEARCHED_SIDE)
    page = _colours(picture.reduce(shrink))
    ink = _find_ink(page)
    levels = ink.levels(page)
    if levels is None:
        return None
    if shrink > 1:
        left, top, right, bottom = (shrink * edge for edge in _box_around(levels, _EDGE / 2))
        area = picture.crop(
            (
                max(left - shrink, 0),
                max(top - shrink, 0),
                min(right + shrink, picture.width),
                min(bottom + shrink, picture.height),
            )
        )
        shrink = math.ceil(max(area.size) / _MEASURED_SIDE)
        closer = ink.levels(_colours(area.reduce(shrink)))
        levels = levels if closer is None else closer
    return _place(levels, shape)


def _find_ink(page: Array) -> _Ink:
    """Tell paper and ink apart, whether or not there is any."""
    paper = np.median(_border(page), axis=0)
    offsets = page - paper
    distances = np.einsum("hwc,hwc->hw", offsets, offsets)
    direction = offsets[distances >= distances.max() / 4].mean(axis=0)  # half as far or farther
    return _Ink(paper, direction / (np.linalg.norm(direction) or 1))


def _border(pixels: Array) -> Array:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _colours(picture: Image.Image) -> Array:
    """Give float32 `(height, width, channels)`; two greys are as far apart as their levels."""
    channels = np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1)
    colours: Array = channels / np.float32(math.sqrt(channels.shape[2]))
    return colours


def _box_around(levels: Array, edge: float) -> _Box:
    ink = levels >= min(edge, levels.max())
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return _Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _place(levels: Array, shape: Sequence[int]) -> Array:
    """Scale and shift ink into an image of a shape."""
    height, width = shape
    box = _box_around(levels, _EDGE)
    wide, high = box.right - box.left, box.bottom - box.top
    scale = max(wide / (_INK_SHARE * width), high / (_INK_SHARE * height))
    if abs(1 - 1 / scale) * max(wide, high) <= _SAME_SIZE:
        scale = 1
    # MNIST's centre of mass is in the pixel 14, 14.
    left = _centre(levels.sum(axis=0)) - scale * (width // 2 + 0.5)
    top = _centre(levels.sum(axis=1)) - scale * (height // 2 + 0.5)
    # However one-sided, the ink stays inside.
    left = min(max(left, box.right - scale * width), box.left)
    top = min(max(top, box.bottom - scale * height), box.top)
    if scale == 1:
        left, top = (0 if abs(by) <= _SAME_PLACE else round(by) for by in (left, top))
    margin = math.ceil(scale * max(shape))
    padded = Image.fromarray(np.pad(np.rint(levels * MAX_PIXEL).astype(np.uint8), margin))
    left, top = left + margin, top + margin
    around = (left, top, left + scale * width, top + scale * height)
    image = np.asarray(padded.resize((width, height), _FILTER, around))
    brightest = int(image.max())
    if brightest >= _SAME_CONTRAST * MAX_PIXEL:
        return image
    # A thin line that was scaled down is faint.
    restored: Array = np.rint(image * (MAX_PIXEL / max(brightest, 1))).astype(np.uint8)
    return restored


def _centre(profile: Array) -> float:
    """Give the centre of mass of what lies along an axis."""
    return float(profile @ (np.arange(len(profile)) + 0.5) / profile.sum())
