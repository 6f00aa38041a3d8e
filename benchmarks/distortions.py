"""`python -m benchmarks.distortions [VERSION]`: digits not quite like those it was trained on.

It needs MNIST's files in DATA_DIR, and measures the test images, whole and distorted.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from nncore import FCModel
from nncore.types import Array
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure
from trainer.mnist import load_mnist
from trainer.versions import load_version

SHIPPED = Path(__file__).parents[1] / "models" / "mnist" / "1"
LEAST_ACCURACY = 0.98


def main() -> int:
    """Print a table; fail where a distortion costs too much."""
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        sys.exit("expected DATA_DIR to name a directory with MNIST's four IDX files, got none")
    version = load_version(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED)
    test = load_mnist(Path(data_dir), Path(), mirrors=()).test
    assert test is not None
    print("| test images | accuracy |\n| --- | --- |")
    lost = False
    for name in DISTORTIONS:
        accuracy = distorted_accuracy(version.model, test, name)
        print(f"| {name} | {accuracy:.2%} |")
        lost |= accuracy < LEAST_ACCURACY
    return int(lost)


def distorted_accuracy(model: FCModel, data: LabelledImages, distortion: str) -> float:
    """Give the share of images that are read right once they are distorted."""
    distorted = LabelledImages(DISTORTIONS[distortion](data.images), data.labels)
    accuracy: float = measure(answer_all(model.predict, distorted), data.labels)["accuracy"]
    return accuracy


def shift(images: Array, limit: int = 2) -> Array:
    """Move each image by a random number of whole pixels each way, up to the limit."""
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
    """Turn each image by a random angle in degrees, up to the limit either way."""
    angles = np.random.default_rng(0).uniform(-limit, limit, len(images))
    return np.stack(
        [
            np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR))
            for image, angle in zip(images, angles, strict=True)
        ]
    )


def thicken(images: Array) -> Array:
    """Give each pixel the darkest ink of its 2 by 2 neighbourhood."""
    return _square(images, np.maximum)


def thin(images: Array) -> Array:
    """Give each pixel the faintest ink of its 2 by 2 neighbourhood."""
    return _square(images, np.minimum)


def add_noise(images: Array, deviation: float) -> Array:
    """Add noise with a standard deviation in shares of the range from paper to ink."""
    noise = np.random.default_rng(0).normal(0, 255 * deviation, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def _square(images: Array, extreme: Callable[[Array, Array], Array]) -> Array:
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


if __name__ == "__main__":
    sys.exit(main())
