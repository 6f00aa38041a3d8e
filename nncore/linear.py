"""The linear layer, the only node with parameters, and its weight initialization."""

from collections.abc import Callable
from typing import Any, ClassVar

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

    Attributes:
        w: Weight, `(output_size, input_size)`.
        b: Bias, `(output_size, 1)`, or None.
        needs_input_grad: Whether `backwards` computes `input_grad`; if not, it is None.
        skips_zeros: Whether `apply` skips features that are 0 in the whole batch; see `skip_zeros`.
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
        self.w = init_func(output_size, input_size)
        self.b = init_func(output_size, 1) if bias else None
        self.needs_input_grad = True
        self.skips_zeros = False

    def kaiming_init(self, rng: RandomSource | None = None) -> None:
        """Draw `w` by `kaiming_init` and set `b` to 0, both in place."""
        output_size, input_size = self.w.shape
        self.w[...] = kaiming_init(output_size, input_size, rng=rng)
        if self.b is not None:
            self.b[...] = 0

    def skip_zeros(self) -> None:
        """Make `apply` skip features that are 0 in the whole batch, if more than half of them are.

        Pixels of digits and outputs of ReLU are mostly zeros, and a small batch takes as long as
        reading `w` from memory. `w` is copied to column-major order, which makes selecting columns
        fast and training slow: call this on a model that only predicts.
        """
        self.w = np.asfortranarray(self.w)
        self.skips_zeros = self.w.size >= _MIN_SKIP_SIZE

    def apply(self, x: Array) -> Array:
        """Return `w @ x + b`, `(output_size, batch)`, for `x` of shape `(input_size, batch)`."""
        w = self.w
        if self.skips_zeros:
            active = np.flatnonzero(x if x.shape[1] == 1 else x.any(axis=1))
            if 2 * len(active) < len(x):
                w, x = w.T.take(active, axis=0).T, x.take(active, axis=0)
        ans: Array = w @ x
        if self.b is not None:
            ans += self.b
        return ans

    def backwards(self, g: Any = 1) -> list[Array]:
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
        state = {"weight": self.w}
        if self.b is not None:
            state["bias"] = self.b[:, 0]
        return state

    def __repr__(self) -> str:
        output_size, input_size = self.w.shape
        return f"LinearLayer({input_size}, {output_size}, bias={self.b is not None})"
