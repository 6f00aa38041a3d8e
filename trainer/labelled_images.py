"""A validated data set of grey-level images and integer labels."""

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
    """Images and their labels.

    Attributes:
        images: Grey levels, `(count, *shape)` uint8.
        labels: `(count,)` int64.
    """

    images: Array
    labels: Array

    @classmethod
    def checked(cls, images: Array, labels: Array, origin: str) -> Self:
        """Validate arrays and convert floats in [0, 1] to grey levels.

        Raises:
            DataError: The images or labels are invalid, or their numbers differ.
        """
        if images.ndim < 2 or math.prod(images.shape) == 0:
            raise DataError(f"{origin}: expected images (count, height, width), got {images.shape}")
        if labels.shape != images.shape[:1]:
            raise DataError(
                f"{origin}: expected one label for each of {len(images)} images, "
                f"got labels of shape {labels.shape}"
            )
        # np.issubdtype counts timedelta64 as an integer.
        if labels.dtype.kind not in "iu" or labels.min() < 0:
            raise DataError(
                f"{origin}: expected labels that are integers >= 0, got {_described(labels)}"
            )
        if labels.max() >= LARGEST_CLASS_COUNT:
            raise DataError(
                f"{origin}: expected labels below {LARGEST_CLASS_COUNT}, got {_described(labels)}"
            )
        return cls(_grey_levels(images, origin), labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.images)

    def as_dataset(self) -> Dataset:
        """Return a data set that keeps the images as uint8 and scales them batch by batch."""
        return Dataset(self.images, self.labels, transform=scale_pixels)

    def split(self, count: int, rng: np.random.Generator) -> tuple[Self, Self]:
        """Split at random into all but `count` images, and `count` images."""
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
        name: The default name of a model that is trained on it.
        train: The images for training and validation.
        test: The test images, or None if the data set has none.
        digests: File name -> SHA-256, or how the data was generated.
    """

    name: str
    train: LabelledImages
    test: LabelledImages | None
    digests: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.test and self.test.images.shape[1:] != self.train.images.shape[1:]:
            raise DataError(
                f"expected test images of shape {self.train.images.shape[1:]}, as in training, "
                f"got {self.test.images.shape[1:]}"
            )

    def check_classes(self, num_classes: int | None) -> int:
        """Return the number of classes: the given one, or one more than the highest label.

        Raises:
            DataError: A label is outside the classes, or there are fewer than two.
        """
        highest = max(int(part.labels.max()) for part in (self.train, self.test) if part)
        classes = highest + 1 if num_classes is None else num_classes
        if highest >= classes:
            raise DataError(
                f"{self.name}: expected labels in 0..{classes - 1}, got {highest}; "
                "set the number of classes with --classes"
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
