"""A version as it is served: loaded, verified, warmed up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nncore import Manifest, ModelRepository
from nncore.types import Array
from service.image_arrays import ImageReader

_WARM_UP_BATCHES = (1, 64)


@dataclass(frozen=True)
class ServedModel:
    """A version that is ready to answer; safe in any number of threads.

    Attributes:
        manifest: What the version says of itself.
        labels: One a class, as answers show them.
        images: Reads images of this model's shape.
        predict: Maps images, float32 `(batch, pixels)` in [0, 1], to probabilities, float32
            `(batch, classes)`.
        attribute: Maps such images and a label each, `(batch,)`, to how much each pixel speaks for
            that label, float32 `(batch, pixels)`.
    """

    manifest: Manifest
    labels: Sequence[int | str]
    images: ImageReader
    predict: Callable[[Array], Array]
    attribute: Callable[[Array, Array], Array]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The version's number."""
        return self.manifest.version


def load_model(repository: ModelRepository, name: str, version: int, max_batch: int) -> ServedModel:
    """Load a version, verify it and warm it up.

    Args:
        repository: Where it is.
        name: The model.
        version: Its version.
        max_batch: The most images in a request.

    Raises:
        OSError: It cannot be read.
        RepositoryError: It is not there, or damaged.
        ValueError: The name cannot be a model's.
    """
    published = repository.load(name, version)
    manifest, network = published.manifest, published.model
    network.skip_zeros()
    for batch in _WARM_UP_BATCHES:
        network.predict(np.ones((batch, manifest.layers[0]), np.float32))
    return ServedModel(
        manifest=manifest,
        labels=class_labels(manifest.labels),
        images=ImageReader(manifest.input_shape, max_batch),
        predict=lambda images: network.predict(images).T,
        attribute=network.attribute,
    )


def class_labels(labels: Sequence[str]) -> list[int | str]:
    """Give the labels as answers show them: numbers where they are the classes' own numbers."""
    numbers = range(len(labels))
    return list(numbers) if list(labels) == list(map(str, numbers)) else list(labels)
