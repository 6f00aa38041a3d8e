"""Knowledge distillation: published versions as teachers of a network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nncore import softmax
from nncore.repository import PublishedModel
from nncore.types import Array
from trainer.errors import TrainerError
from trainer.versions import load_version


class Teachers:
    """Published versions whose mean probabilities a network learns.

    Args:
        paths: The folders of the versions.
        image_shape: The shape of the images of the data set.
        num_classes: Its number of classes.

    Attributes:
        identity: The name, version and digest of each teacher, as `model.json` records it.

    Raises:
        RepositoryError: A version does not exist or is damaged.
        TrainerError: A path is not a folder, or a version has other images or classes.
    """

    def __init__(
        self, paths: Sequence[Path], image_shape: tuple[int, ...], num_classes: int
    ) -> None:
        self._versions = [load_version(path) for path in paths]
        for path, version in zip(paths, self._versions, strict=True):
            got = version.model.input_shape, len(version.manifest.labels)
            if got != (image_shape, num_classes):
                raise TrainerError(
                    f"expected a teacher of {num_classes} classes for images of shape "
                    f"{image_shape}, got {got[1]} classes and {got[0]} from {path}"
                )
        self.identity = [_identity(version) for version in self._versions]

    def probabilities(self, images: Array, temperature: float) -> Array:
        """Return the mean of the teachers' probabilities at a temperature, `(classes, batch)`."""
        logits = (version.model.logits(images) for version in self._versions)
        mean: Array = np.mean([softmax(each / temperature) for each in logits], axis=0)
        return mean


def _identity(version: PublishedModel) -> dict[str, str | int]:
    manifest = version.manifest
    return {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256}
