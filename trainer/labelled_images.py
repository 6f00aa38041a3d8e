"""A data set as the job handles it: grey images as uint8, labels as integers, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from nncore import MAX_PIXEL, Dataset, scale_pixels
from nncore.types import Array
from trainer.errors import DataError

LARGEST_CLASS_COUNT = 10_000


@dataclass(frozen=True)
class LabelledImages:
    """Images and what they show.

    Attributes:
        images: Grey levels, `(count, *shape)` uint8.
        labels: `(count,)` int64.
    """

    images: Array
    labels: Array

    @classmethod
    def checked(cls, images: Array, labels: Array, origin: str) -> Self:
        """Bring arrays to the form above: floats in [0, 1] become the grey levels they stand for.

        Raises:
            DataError: They are no images and labels, or not one label an image.
        """
        if images.ndim < 2 or math.prod(images.shape) == 0:
            raise DataError(f"{origin}: expected images (count, height, width), got {images.shape}")
        if labels.shape != images.shape[:1]:
            raise DataError(
                f"{origin}: expected one label for each of {len(images)} images, "
                f"got labels of shape {labels.shape}"
            )
        # Not issubdtype, to which a time span is an integer.
        if labels.dtype.kind not in "iu" or labels.min() < 0:
            raise DataError(
                f"{origin}: expected labels that are integers from 0 on, got {_described(labels)}"
            )
        if labels.max() >= LARGEST_CLASS_COUNT:
            raise DataError(
                f"{origin}: expected labels below {LARGEST_CLASS_COUNT}, got {_described(labels)}"
            )
        return cls(_grey_levels(images, origin), labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.images)

    def as_dataset(self) -> Dataset:
        """Wrap the images for measuring: they stay uint8 and are scaled batch by batch."""
        return Dataset(self.images, self.labels, transform=scale_pixels)

    def split(self, count: int, rng: np.random.Generator) -> tuple[Self, Self]:
        """Divide at random into all but `count` images, and `count`."""
        order = rng.permutation(len(self))
        rest, taken = np.sort(order[count:]), np.sort(order[:count])
        return (
            type(self)(self.images[rest], self.labels[rest]),
            type(self)(self.images[taken], self.labels[taken]),
        )


@dataclass(frozen=True)
class ImageData:
    """A data set with its test images.

    Attributes:
        name: What a model trained on it is called.
        train: For training and validation.
        test: Measured once, or None where the set brings none.
        digests: Origin -> SHA-256 of its bytes, or how it was made.
    """

    name: str
    train: LabelledImages
    test: LabelledImages | None
    digests: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.test and self.test.images.shape[1:] != self.train.images.shape[1:]:
            raise DataError(
                f"expected test images of shape {self.train.images.shape[1:]} like the training "
                f"images, got {self.test.images.shape[1:]}"
            )

    def check_classes(self, num_classes: int | None) -> int:
        """Settle the number of classes: the one given, or one more than the highest label.

        Raises:
            DataError: A label lies outside the classes, or there are fewer than two.
        """
        highest = max(int(part.labels.max()) for part in (self.train, self.test) if part)
        classes = highest + 1 if num_classes is None else num_classes
        if highest >= classes:
            raise DataError(
                f"{self.name}: expected labels in 0..{classes - 1}, got {highest}; "
                "--classes takes another number of classes"
            )
        if not 2 <= classes <= LARGEST_CLASS_COUNT:
            raise DataError(
                f"{self.name}: expected 2 to {LARGEST_CLASS_COUNT} classes, got {classes}"
            )
        return classes


def _grey_levels(images: Array, origin: str) -> Array:
    if images.dtype == np.uint8:
        return images
    if np.issubdtype(images.dtype, np.floating) and 0 <= images.min() <= images.max() <= 1:
        grey_levels: Array = np.rint(images * MAX_PIXEL).astype(np.uint8)
        return grey_levels
    raise DataError(
        f"{origin}: expected images as uint8, or as floats from 0 to 1, got {_described(images)}"
    )


def _described(array: Array) -> str:
    if not np.issubdtype(array.dtype, np.number):
        return f"{array.dtype}"
    return f"{array.dtype} from {array.min()} to {array.max()}"
