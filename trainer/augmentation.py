"""Data augmentation: random affine and elastic deformations, stroke thickness and noise.

Source: Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks
Applied to Visual Document Analysis", section 2.
"""

from dataclasses import dataclass

import numpy as np

from nncore import scale_pixels
from nncore.types import Array
from trainer.errors import TrainerError

# Neighbouring images of a batch share one deformation, which makes resampling faster. Shuffling
# forms new groups in every epoch.
GROUP_SIZE = 32
NOISY_SHARE = 0.25
# Thin strokes are the harder ones: thinning is drawn from a range wider by this factor than
# thickening, and clipped to the same limit.
THINNING_BIAS = 1.5
_LARGEST_STRENGTH = 1000
_NOISE_VALUES = 1 << 19


@dataclass(frozen=True)
class Strength:
    """The limits of the deformations, in each direction.

    Attributes:
        rotation: Degrees.
        scale: Share of the size, along each axis.
        shear: Columns per row.
        shift: Pixels, along each axis.
        elastic: Standard deviation of the elastic displacement, in pixels.
        smoothness: Correlation length of the elastic displacement, in pixels.
        thickness: Pixels that strokes grow or shrink on each side, at most 1.
        noise: Standard deviation of the noise, as a share of the grey levels' range.
    """

    rotation: float = 14.0
    scale: float = 0.18
    shear: float = 0.2
    shift: float = 2.0
    elastic: float = 0.8
    smoothness: float = 4.0
    thickness: float = 1.0
    noise: float = 0.3

    def __post_init__(self) -> None:
        """Reject invalid values.

        Raises:
            TrainerError: A value is negative, NaN or too large.
        """
        for name, value in vars(self).items():
            if not 0 <= value <= _LARGEST_STRENGTH:
                raise TrainerError(f"expected {name} from 0 to {_LARGEST_STRENGTH}, got {value}")
        if self.smoothness == 0:
            raise TrainerError("expected a smoothness over 0, got 0")
        if self.thickness > 1:
            raise TrainerError(f"expected a thickness of at most 1 pixel, got {self.thickness}")


DEFAULT_STRENGTH = Strength()


def applies_to(image_shape: tuple[int, ...]) -> bool:
    """Return whether images of this shape have rows and columns, which deformation needs."""
    return len(image_shape) == 2 and min(image_shape) >= 2


class Augmentation:
    """Scales and deforms images: the `transform` of a `Dataset`.

    Args:
        image_shape: `(height, width)`, 2 pixels or more each; see `applies_to`.
        rng: The random source of the deformations.
        strength: Their limits.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        rng: np.random.Generator,
        strength: Strength,
    ) -> None:
        self._height, self._width = image_shape
        self._rng = rng
        self._strength = strength
        self._smooth_rows = _smoothing(self._height, strength.smoothness)
        self._smooth_columns = _smoothing(self._width, strength.smoothness)
        group_values = self._height * self._width * GROUP_SIZE
        self._noise = np.random.default_rng(0).standard_normal(
            max(_NOISE_VALUES, 2 * group_values), np.float32
        )

    def __call__(self, images: Array) -> Array:
        """Deform a batch.

        Args:
            images: Grey levels, `(batch, height, width)` uint8.

        Returns:
            `(batch, pixels)` float32 in [0, 1], in column-major order, which the network reads.
        """
        pixels = np.ascontiguousarray(images.reshape(len(images), -1).T)
        deformed = np.empty(pixels.shape, np.float32)
        starts = range(0, len(images), GROUP_SIZE)
        for start, rows, columns in zip(starts, *self._origins(len(starts)), strict=True):
            group = slice(start, start + GROUP_SIZE)
            strokes = self._resample(scale_pixels(pixels[:, group]), rows, columns)
            deformed[:, group] = self._add_noise(self._change_thickness(strokes))
        return deformed.T

    def _origins(self, count: int) -> tuple[Array, Array]:
        """Draw the source position of each output pixel for `count` deformations.

        Returns:
            Rows and columns, each `(count, height, width)`, inside the image.
        """

        def uniform(limit: float) -> Array:
            return self._rng.uniform(-limit, limit, (count, 1, 1)).astype(np.float32)

        strength = self._strength
        angle = np.deg2rad(uniform(strength.rotation))
        stretch_y, stretch_x = 1 + uniform(strength.scale), 1 + uniform(strength.scale)
        middle_y, middle_x = (self._height - 1) / 2, (self._width - 1) / 2
        y = np.arange(self._height, dtype=np.float32)[:, None] - middle_y
        x = np.arange(self._width, dtype=np.float32) - middle_x
        x = x + uniform(strength.shear) * y
        rows = stretch_y * (np.sin(angle) * x + np.cos(angle) * y)
        columns = stretch_x * (np.cos(angle) * x - np.sin(angle) * y)
        rows += middle_y + uniform(strength.shift) + self._elastic(count)
        columns += middle_x + uniform(strength.shift) + self._elastic(count)
        return rows.clip(0, self._height - 1), columns.clip(0, self._width - 1)

    def _elastic(self, count: int) -> Array:
        """Draw smooth displacements along one axis, `(count, height, width)`."""
        noise = self._rng.standard_normal((count, self._height, self._width), np.float32)
        field: Array = self._strength.elastic * (self._smooth_rows @ noise @ self._smooth_columns.T)
        return field

    def _change_thickness(self, pixels: Array) -> Array:
        """Thicken or thin the strokes of a group, `(pixels, images)`, by up to `thickness`."""
        limit = self._strength.thickness
        change = max(-limit, self._rng.uniform(-THINNING_BIAS * limit, limit))
        extreme = np.maximum if change > 0 else np.minimum
        width, inner = self._width, slice(1, -1)
        morphed = np.empty_like(pixels)
        extreme(pixels[:-2], pixels[2:], out=morphed[inner])  # neighbours in the row
        extreme(morphed[inner], pixels[inner], out=morphed[inner])
        # The pixels of the first and the last column have one neighbour only.
        extreme(pixels[::width], pixels[1::width], out=morphed[::width])
        last = slice(width - 1, None, width)
        extreme(pixels[last], pixels[width - 2 :: width], out=morphed[last])
        extreme(morphed[width:], pixels[:-width], out=morphed[width:])  # in the column
        extreme(morphed[:-width], pixels[width:], out=morphed[:-width])
        return _between(pixels, morphed, abs(change))

    def _add_noise(self, pixels: Array) -> Array:
        """Add noise, a slice of a precomputed array, to some of the groups, `(pixels, images)`."""
        if self._rng.random() >= NOISY_SHARE:
            return pixels
        deviation = self._rng.uniform(0, self._strength.noise)
        start = self._rng.integers(self._noise.size - pixels.size)
        noise = self._noise[start : start + pixels.size].reshape(pixels.shape)
        pixels += np.float32(deviation) * noise
        return pixels.clip(0, 1, out=pixels)

    def _resample(self, pixels: Array, rows: Array, columns: Array) -> Array:
        """Interpolate `(pixels, images)` bilinearly at `(height, width)` rows and columns."""
        above = rows.astype(np.intp).clip(max=self._height - 2)
        left = columns.astype(np.intp).clip(max=self._width - 2)
        down = (rows - above).astype(np.float32).reshape(-1, 1)
        across = (columns - left).astype(np.float32).reshape(-1, 1)
        corner = (above * self._width + left).ravel()
        upper = _between(pixels.take(corner, axis=0), pixels.take(corner + 1, axis=0), across)
        corner += self._width
        lower = _between(pixels.take(corner, axis=0), pixels.take(corner + 1, axis=0), across)
        return _between(upper, lower, down)


def _between(start: Array, end: Array, share: Array | float) -> Array:
    """Interpolate linearly between two arrays, overwriting both."""
    end -= start
    end *= share
    start += end
    return start


def _smoothing(size: int, deviation: float) -> Array:
    """Return a matrix that smooths white noise along an axis and preserves its variance."""
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    kernel = np.exp(-0.5 * (distance / deviation) ** 2)
    smoothing: Array = kernel / np.sqrt(np.sum(kernel**2, axis=1, keepdims=True))
    return smoothing.astype(np.float32)
