"""One version as it is served: loaded, verified, warmed up."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nncore.repository import Manifest, ModelRepository, check_probes
from nncore.types import Array
from service.inputs.pixels import PixelReader

_WARM_UP_BATCH = 64
# Data sets of centred digits: pictures for these models go through MNIST's preprocessing.
_DIGIT_DATA_SETS = ("mnist", "synthetic")


@dataclass(frozen=True)
class LoadedModel:
    """A version that is ready to answer; safe in any number of threads.

    Attributes:
        manifest: The version's manifest.
        labels: One per class, as responses show them.
        images: Reads arrays of this model's image shape.
        recenter: Whether pictures are scaled and centred as MNIST's digits are.
        predict: Returns probabilities, float32 `(batch, classes)`, of images, float32
            `(batch, pixels)` in [0, 1].
        attribute: Returns each pixel's contribution to one label per image, `(batch,)`, float32
            `(batch, pixels)`.
    """

    manifest: Manifest
    labels: Sequence[int | str]
    images: PixelReader
    recenter: bool
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


def load_model(repository: ModelRepository, name: str, version: int, max_batch: int) -> LoadedModel:
    """Load a version, verify it on the code path that will answer, and warm it up.

    Raises:
        OSError: It cannot be read.
        RepositoryError: It does not exist, or is damaged.
        ValueError: The name is invalid for a model, or an output for a probe is wrong.
    """
    published = repository.load(name, version)
    manifest, network = published.manifest, published.model.freeze()
    # One image alone takes the path that skips zeros, as most requests do.
    for probe in manifest.probes:
        check_probes(network, [probe])
    check_probes(network, manifest.probes)
    network.predict(np.ones((_WARM_UP_BATCH, math.prod(manifest.input_shape)), np.float32))
    data_set = manifest.provenance.get("dataset")
    return LoadedModel(
        manifest=manifest,
        labels=class_labels(manifest.labels),
        images=PixelReader(manifest.input_shape, max_batch),
        recenter=isinstance(data_set, dict) and data_set.get("name") in _DIGIT_DATA_SETS,
        predict=lambda images: np.ascontiguousarray(network.predict(images).T),
        attribute=network.attribute,
    )


def class_labels(labels: Sequence[str]) -> list[int | str]:
    """Return the labels as responses show them: numbers where they are "0", "1", "2" and so on."""
    numbers = range(len(labels))
    return list(numbers) if list(labels) == list(map(str, numbers)) else list(labels)
