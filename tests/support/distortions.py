"""Distorted digits, to measure how a model does on images that are unlike its training images."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from nncore import FCModel
from nncore.types import Array
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure


def distorted_accuracy(model: FCModel, data: LabelledImages, distortion: str) -> float:
    """Return a model's accuracy on distorted images."""
    distorted = LabelledImages(DISTORTIONS[distortion](data.images), data.labels)
    accuracy: float = measure(answer_all(model.predict, distorted), data.labels)["accuracy"]
    return accuracy


def shift(images: Array, limit: int = 2) -> Array:
    """Move each image by random whole pixels in both directions, up to the limit."""
    rng = np.random.default_rng(0)
    offsets = rng.integers(-limit, limit + 1, (len(images), 2))
    padded = np.pad(images, ((0, 0), (limit, limit), (limit, limit)))
    height, width = images.shape[1:]
    return np.stack(
        [
            image[limit + y : limit + y + height, limit + x : limit + x + width]
            for image, (y, x) in zip(padded, offsets, strict=True)
        ]
    )


def rotate(images: Array, limit: float = 15) -> Array:
    """Rotate each image by a random angle in degrees, up to the limit in both directions."""
    angles = np.random.default_rng(0).uniform(-limit, limit, len(images))
    return np.stack(
        [
            np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR))
            for image, angle in zip(images, angles, strict=True)
        ]
    )


def thicken(images: Array) -> Array:
    """Set each pixel to the maximum of its 2 by 2 neighbourhood."""
    return _filter(images, np.maximum)


def thin(images: Array) -> Array:
    """Set each pixel to the minimum of its 2 by 2 neighbourhood."""
    return _filter(images, np.minimum)


def add_noise(images: Array, deviation: float) -> Array:
    """Add noise; the standard deviation is a share of the pixels' range."""
    noise = np.random.default_rng(0).normal(0, 255 * deviation, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def _filter(images: Array, extreme: Callable[[Array, Array], Array]) -> Array:
    padded = np.pad(images, ((0, 0), (1, 0), (1, 0)))
    rows = extreme(padded[:, 1:], padded[:, :-1])
    return extreme(rows[:, :, 1:], rows[:, :, :-1])


DISTORTIONS: dict[str, Callable[[Array], Array]] = {
    "as they are": lambda images: images,
    "shifted by up to 2 pixels": shift,
    "rotated by up to 15 degrees": rotate,
    "thickened by a pixel": thicken,
    "thinned by a pixel": thin,
    "with noise of 0.2": lambda images: add_noise(images, 0.2),
    "with noise of 0.3": lambda images: add_noise(images, 0.3),
}
