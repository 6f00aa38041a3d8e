"""Models for tests to serve."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nncore import FCModel
from nncore.repository import ModelRepository, PublishedModel


def publish(
    root: Path,
    shape: Sequence[int] = (28, 28),
    labels: Sequence[str] = tuple("0123456789"),
    seed: int = 0,
    data_set: str | None = None,
    hidden_sizes: Sequence[int] = (16,),
    digests: Mapping[str, str] | None = None,
) -> PublishedModel:
    """Publish the next version of `mnist`, an untrained network."""
    rng = np.random.default_rng(seed)
    return ModelRepository(root).publish(
        "mnist",
        FCModel(shape, hidden_sizes, len(labels), rng=rng),
        labels=labels,
        probe_images=rng.integers(0, 256, (2, *shape)).astype(np.uint8),
        provenance={"dataset": {"name": data_set, "digests": digests or {}}} if data_set else {},
        report={},
    )
