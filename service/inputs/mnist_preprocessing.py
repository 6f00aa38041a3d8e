"""MNIST's preprocessing: a digit scaled to 20x20 pixels and centred in 28x28 by its mass."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from nncore import MAX_PIXEL
from nncore.types import Array

_DIGIT_SHARE = 20 / 28
# The most pixels of a side where the digit is searched, and where it is measured.
_SEARCH_SIDE = 192
_MEASURE_SIDE = 128
# The least contrast of a digit, in grey levels and in standard deviations of the noise.
_MIN_CONTRAST = 16
_MIN_SIGNAL_DEVIATIONS = 6
_NOISE_DEVIATIONS = 3
_DEVIATIONS_PER_MEDIAN = 1.4826  # of a normal distribution
# Chosen on training images: the level at which the bounding box begins, and the filter.
_BOX_LEVEL = 0.4
_FILTER = Image.Resampling.HAMMING
# Differences that are not corrected, so that MNIST's own images come out unchanged: contrast as a
# share of the range, pixels of the digit's longer side, pixels of its centre of mass.
_ENOUGH_CONTRAST = 0.9
_SIZE_TOLERANCE = 2
_CENTRE_TOLERANCE = 0.75


def preprocess_digit(picture: Image.Image, shape: Sequence[int]) -> Array | None:
    """Return the digit of a picture as MNIST's images show it.

    Args:
        picture: Mode L or RGB; a digit of any colour on a background of any other.
        shape: `(height, width)`.

    Returns:
        uint8 of the shape, 0 for background to 255 for foreground; None if the picture is blank.
    """
    factor = math.ceil(max(picture.size) / _SEARCH_SIDE)
    colours = _colours(picture.reduce(factor))
    background = np.median(_border(colours), axis=0)
    offsets = colours - background
    distances = np.einsum("hwc,hwc->hw", offsets, offsets)
    direction = offsets[distances >= distances.max() / 4].mean(axis=0)  # half as far or farther
    direction /= np.linalg.norm(direction) or 1
    levels = _foreground(colours, background, direction)
    if levels is None:
        return None
    if factor > 1:
        left, top, right, bottom = (factor * edge for edge in _bounding_box(levels, _BOX_LEVEL / 2))
        right, bottom = min(right + factor, picture.width), min(bottom + factor, picture.height)
        area = picture.crop((max(left - factor, 0), max(top - factor, 0), right, bottom))
        colours = _colours(area.reduce(math.ceil(max(area.size) / _MEASURE_SIDE)))
        finer = _foreground(colours, background, direction)
        levels = levels if finer is None else finer
    return _place(levels, shape)


def _colours(picture: Image.Image) -> Array:
    """Return float32 `(height, width, channels)`; greys are as far apart as their levels."""
    channels = np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1)
    colours: Array = channels / np.float32(math.sqrt(channels.shape[2]))
    return colours


def _border(pixels: Array) -> Array:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _foreground(colours: Array, background: Array, direction: Array) -> Array | None:
    """Return how far each pixel is from background to foreground, in [0, 1]; None if blank."""
    along = colours @ direction - background @ direction
    full = float(np.percentile(along[along >= along.max() / 2], 90))
    deviation = _DEVIATIONS_PER_MEDIAN * float(np.median(np.abs(_border(along))))
    if full < max(_MIN_CONTRAST, _MIN_SIGNAL_DEVIATIONS * deviation):
        return None
    noise = _NOISE_DEVIATIONS * deviation
    if full >= _ENOUGH_CONTRAST * MAX_PIXEL:
        full = MAX_PIXEL
    levels: Array = np.clip((along - noise) / (full - noise), 0, 1)
    return levels


def _bounding_box(levels: Array, threshold: float) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels at or above a threshold."""
    rows, columns = np.nonzero(levels >= min(threshold, levels.max()))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _place(levels: Array, shape: Sequence[int]) -> Array:
    """Scale and shift a digit into an image."""
    height, width = shape
    box_left, box_top, box_right, box_bottom = _bounding_box(levels, _BOX_LEVEL)
    box_width, box_height = box_right - box_left, box_bottom - box_top
    scale = max(box_width / (_DIGIT_SHARE * width), box_height / (_DIGIT_SHARE * height))
    if abs(1 - 1 / scale) * max(box_width, box_height) <= _SIZE_TOLERANCE:
        scale = 1
    # MNIST's centre of mass is in the pixel 14, 14. The box stays inside the image.
    left = _centre(levels.sum(axis=0)) - scale * (width // 2 + 0.5)
    top = _centre(levels.sum(axis=1)) - scale * (height // 2 + 0.5)
    left = min(max(left, box_right - scale * width), box_left)
    top = min(max(top, box_bottom - scale * height), box_top)
    if scale == 1:
        left, top = (0 if abs(by) <= _CENTRE_TOLERANCE else round(by) for by in (left, top))
    margin = math.ceil(scale * max(shape))
    padded = Image.fromarray(np.pad(np.rint(levels * MAX_PIXEL).astype(np.uint8), margin))
    left, top = left + margin, top + margin
    area = (left, top, left + scale * width, top + scale * height)
    image = np.asarray(padded.resize((width, height), _FILTER, area))
    brightest = int(image.max())
    if brightest >= _ENOUGH_CONTRAST * MAX_PIXEL:
        return image
    # Scaling down makes a thin line faint.
    restored: Array = np.rint(image * (MAX_PIXEL / max(brightest, 1))).astype(np.uint8)
    return restored


def _centre(profile: Array) -> float:
    """Return the centre of mass along an axis."""
    return float(profile @ (np.arange(len(profile)) + 0.5) / profile.sum())
