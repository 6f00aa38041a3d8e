"""The linear layer, its weight initialization, and its form for prediction."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.random import randn

from nncore.node import Node
from nncore.types import Array, RandomSource

# For smaller weights, finding the zeros takes longer than multiplying by them.
_MIN_SKIP_SIZE = 100_000


def kaiming_init(output_size: int, input_size: int, *, rng: RandomSource | None = None) -> Array:
    """Draw weights from N(0, 2 / input_size), which preserves variance through ReLU layers.

    The shape is `(output_size, input_size)`, the default `rng` numpy's global generator.
    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 10.
    """
    source: RandomSource = np.random if rng is None else rng
    weights: Array = source.standard_normal((output_size, input_size))
    weights *= np.sqrt(2 / input_size)
    return weights


class LinearLayer(Node):
    """The affine map `w @ x + b`.

    Args:
        input_size: The number of input features.
        output_size: The number of output features.
        bias: Whether the layer has a bias `b`.
        init_func: Called as `init_func(rows, columns)`, first for `w`, then for `b`.

    Raises:
        ValueError: A size is less than 1.

    Attributes:
        w: Weight, `(output_size, input_size)`.
        b: Bias, `(output_size, 1)`, or None.
    """

    parameter_names: ClassVar = {"weight": "w", "bias": "b"}

    def __init__(
        self,
        input_size: int,
        output_size: int,
        bias: bool = False,
        init_func: Callable[[int, int], Array] = randn,
    ) -> None:
        super().__init__()
        if min(input_size, output_size) < 1:
            raise ValueError(
                f"expected sizes of 1 or more, got {input_size} and {output_size} for a layer"
            )
        self.w = init_func(output_size, input_size)
        self.b = init_func(output_size, 1) if bias else None

    def kaiming_init(self, rng: RandomSource | None = None) -> None:
        """Draw `w` by `kaiming_init` and set `b` to 0, both in place."""
        output_size, input_size = self.w.shape
        self.w[...] = kaiming_init(output_size, input_size, rng=rng)
        if self.b is not None:
            self.b[...] = 0

    def config(self) -> dict[str, Any]:
        """Return the sizes of input and output, and whether there is a bias."""
        output_size, input_size = self.w.shape
        return {
            "input_size": input_size,
            "output_size": output_size,
            "bias": self.b is not None,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build a layer of float32 parameters whose memory is not written."""
        return cls(**config, init_func=lambda *shape: np.empty(shape, np.float32))

    def freeze(self) -> "FrozenLinear":
        """Return the layer for prediction, with a copy of the parameters."""
        return FrozenLinear(self.w, self.b)

    def apply(self, x: Array) -> Array:
        """Return `w @ x + b`, `(output_size, batch)`, for `x` of shape `(input_size, batch)`."""
        ans: Array = self.w @ x
        if self.b is not None:
            ans += self.b
        return ans

    def backwards(self, g: Any) -> list[Array]:
        """Differentiate `w @ x + b`: dL/dx = w.T @ g, dL/dw = g @ x.T, dL/db = g summed over batch.

        Source: Goodfellow et al. 2016, "Deep Learning", section 6.5.6.

        Args:
            g: Upstream gradient, `(output_size, batch)`.

        Returns:
            `[dL/dw]`, or `[dL/dw, dL/db]` with a bias, shaped like `parameters`.
        """
        self.input_grad = self.w.T @ g if self.needs_input_grad else None
        w_grad = g @ self.x.T
        if self.b is None:
            return [w_grad]
        return [w_grad, g @ np.ones((g.shape[1], 1), g.dtype)]

    def state_dict(self) -> dict[str, Array]:
        """Return views of the parameters, named and shaped as in `torch.nn.Linear`."""
        state = super().state_dict()
        return {name: value[:, 0] if name == "bias" else value for name, value in state.items()}

    def __repr__(self) -> str:
        output_size, input_size = self.w.shape
        return f"LinearLayer({input_size}, {output_size}, bias={self.b is not None})"


class FrozenLinear(Node):
    """`w @ x + b` for prediction: it skips features that are 0 in the whole batch.

    Pixels of digits and outputs of ReLU are mostly zeros, and a small batch takes as long as
    reading `w` from memory. Column-major order makes the selection of columns fast; training would
    be slower with it.

    Args:
        w: Weight, `(output_size, input_size)`; it is copied.
        b: Bias, `(output_size, 1)`, or None; it is copied.

    Attributes:
        may_skip: Whether skipping is worthwhile at all, by the size of `w`.
    """

    def __init__(self, w: Array, b: Array | None) -> None:
        super().__init__()
        self.w = np.array(w, order="F")
        self.b = None if b is None else b.copy()
        self.may_skip = w.size >= _MIN_SKIP_SIZE

    def apply(self, x: Array) -> Array:
        """Return `w @ x + b`, `(output_size, batch)`, for `x` of shape `(input_size, batch)`."""
        w = self.w
        if self.may_skip:
            active = np.flatnonzero(x if x.shape[1] == 1 else x.any(axis=1))
            if 2 * len(active) < len(x):  # otherwise the copy takes longer than it saves
                w, x = w.T.take(active, axis=0).T, x.take(active, axis=0)
        ans: Array = w @ x
        if self.b is not None:
            ans += self.b
        return ans

    def backwards(self, g: Any) -> None:
        """Set `input_grad` to w.T @ g, for `g` of shape `(output_size, batch)`."""
        self.input_grad = self.w.T @ g
