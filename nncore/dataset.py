"""An in-memory data set and its batches."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from nncore.types import Array, RandomSource


class Dataset:
    """Samples and their targets, along the first axis of both arrays.

    Args:
        inputs: `(samples, ...)`.
        targets: `(samples, ...)`.
        rng: The source of shuffling; numpy's global generator when None.
        transform: Applied to the inputs of each batch. With `scale_pixels` the images can be kept
            as uint8.

    Raises:
        ValueError: There are no samples, or the lengths differ.
    """

    def __init__(
        self,
        inputs: Array,
        targets: Array,
        rng: RandomSource | None = None,
        transform: Callable[[Array], Array] | None = None,
    ) -> None:
        if len(inputs) != len(targets) or len(inputs) == 0:
            raise ValueError(
                f"expected as many inputs as targets and at least one, "
                f"got {len(inputs)} and {len(targets)}"
            )
        self.inputs = inputs
        self.targets = targets
        self.dataset_size = len(inputs)
        self._rng: RandomSource = np.random if rng is None else rng
        self._transform = transform

    def get_batches(self, batch_size: int) -> int:
        """Return the number of batches in an epoch; the last one may be smaller.

        Raises:
            ValueError: `batch_size` is less than 1.
        """
        if batch_size < 1:
            raise ValueError(f"expected a batch size of 1 or more, got {batch_size}")
        return math.ceil(self.dataset_size / batch_size)

    def batch_iterator(
        self, batch_size: int, shuffle: bool = True
    ) -> Iterator[tuple[Array, Array]]:
        """Yield the batches `(inputs, targets)` of one epoch, in a new random order by default.

        Raises:
            ValueError: `batch_size` is less than 1.
        """
        batches = self.get_batches(batch_size)
        order = np.arange(self.dataset_size)
        if shuffle:
            self._rng.shuffle(order)
        for batch in range(batches):
            indices = order[batch * batch_size : (batch + 1) * batch_size]
            inputs = self.inputs[indices]
            yield self._transform(inputs) if self._transform else inputs, self.targets[indices]
