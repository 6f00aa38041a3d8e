"""Types that every module shares: an array, and a source of randomness."""

from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class RandomSource(Protocol):
    """A `numpy.random.Generator`, or `numpy.random` itself, the global generator."""

    def standard_normal(self, size: tuple[int, ...], /) -> Any:
        """Draw float64 samples of N(0, 1) in the given shape."""

    def shuffle(self, x: Array, /) -> None:
        """Shuffle an array in place along its first axis."""
