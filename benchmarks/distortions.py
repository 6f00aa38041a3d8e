"""`python -m benchmarks.distortions`: the accuracy of the shipped model on distorted digits.

It needs MNIST's files in DATA_DIR and measures the test images, whole and distorted.
"""

import sys
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.machine import ROOT, describe, load_real_mnist
from benchmarks.report import arguments, publish, table
from nncore.repository import ModelRepository
from nncore.types import Array
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure

LEAST_ACCURACY = 0.98


def main() -> int:
    """Publish the accuracies; fail where one is too low."""
    options = arguments(__doc__)
    model = ModelRepository(ROOT / "models").load("mnist").model
    _, test = load_real_mnist()
    accuracies = {}
    for name, distort in DISTORTIONS.items():
        distorted = LabelledImages(distort(test.images), test.labels)
        accuracies[name] = measure(answer_all(model.predict, distorted), test.labels)["accuracy"]
    rows = [(name, f"{accuracy:.2%}") for name, accuracy in accuracies.items()]
    text = table(["test images", "accuracy"], rows)
    publish("distortions", text, describe(["pillow"]), write=options.write)
    return int(min(accuracies.values()) < LEAST_ACCURACY)


def _shift(images: Array, limit: int = 2) -> Array:
    """Move each image by random whole pixels in both directions."""
    offsets = np.random.default_rng(0).integers(0, 2 * limit + 1, (len(images), 2))
    padded = np.pad(images, ((0, 0), (limit, limit), (limit, limit)))
    return np.stack([p[y : y + 28, x : x + 28] for p, (y, x) in zip(padded, offsets, strict=True)])


def _rotate(images: Array, limit: float = 15) -> Array:
    """Rotate each image by a random angle in degrees, in both directions."""
    angles = np.random.default_rng(0).uniform(-limit, limit, len(images))
    pairs = zip(map(Image.fromarray, images), angles, strict=True)
    rotated = (image.rotate(angle, Image.Resampling.BILINEAR) for image, angle in pairs)
    return np.stack(list(map(np.asarray, rotated)))


def _filter(images: Array, extreme: Callable[[Array, Array], Array]) -> Array:
    """Set each pixel to an extreme of its 2 by 2 neighbourhood."""
    padded = np.pad(images, ((0, 0), (1, 0), (1, 0)))
    rows = extreme(padded[:, 1:], padded[:, :-1])
    return extreme(rows[:, :, 1:], rows[:, :, :-1])


def _add_noise(images: Array, deviation: float) -> Array:
    """Add noise; the standard deviation is a share of the pixels' range."""
    noise = np.random.default_rng(0).normal(0, 255 * deviation, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


DISTORTIONS: dict[str, Callable[[Array], Array]] = {
    "as they are": lambda images: images,
    "shifted by up to 2 pixels": _shift,
    "rotated by up to 15 degrees": _rotate,
    "thickened by a pixel": lambda images: _filter(images, np.maximum),
    "thinned by a pixel": lambda images: _filter(images, np.minimum),
    "with noise of 0.2": lambda images: _add_noise(images, 0.2),
    "with noise of 0.3": lambda images: _add_noise(images, 0.3),
}


if __name__ == "__main__":
    sys.exit(main())
