"""The two types that every module speaks of: an array, and where randomness comes from."""

from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class RandomSource(Protocol):
    """What is drawn from: a `numpy.random.Generator`, or `numpy.random` itself (the global one)."""

    def standard_normal(self, size: tuple[int, ...], /) -> Any:
        """Draw float64 samples of N(0, 1) in the given shape."""

    def shuffle(self, x: Array, /) -> None:
        """Shuffle an array in place along its first axis."""
