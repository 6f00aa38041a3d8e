"""The affine layer, the only node with parameters, and how its weights start."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.random import randn

from nncore.node import Node
from nncore.types import Array, RandomSource

# A smaller weight is read faster than its zeros are found.
_MIN_SKIP_SIZE = 100_000


def kaiming_init(output_size: int, input_size: int, *, rng: RandomSource | None = None) -> Array:
    """Draw weights of N(0, 2 / input_size), which keeps variance through ReLU layers.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 10.

    Args:
        output_size: Rows.
        input_size: Columns, the fan-in.
        rng: Where to draw from; numpy's global generator when None.

    Returns:
        A float64 array of shape `(output_size, input_size)`.
    """
    source: RandomSource = np.random if rng is None else rng
    weights: Array = source.standard_normal((output_size, input_size))
    weights *= np.sqrt(2 / input_size)
    return weights


class LinearLayer(Node):
    """The affine map `w @ x + b`.

    Args:
        input_size: Features in.
        output_size: Features out.
        bias: Whether there is a `b`.
        init_func: Called as `init_func(rows, columns)`, first for `w`, then for `b`.

    Attributes:
        w: Weight, `(output_size, input_size)`.
        b: Bias, `(output_size, 1)`, or None.
        needs_input_grad: Whether `backwards` sets `input_grad`; False leaves it None.
        skips_zeros: Whether `apply` leaves out features that are 0 in the whole batch; see
            `skip_zeros`.
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
        """Redraw `w` by `kaiming_init` and zero `b`, both in place."""
        output_size, input_size = self.w.shape
        self.w[...] = kaiming_init(output_size, input_size, rng=rng)
        if self.b is not None:
            self.b[...] = 0

    def skip_zeros(self) -> None:
        """Have `apply` leave out the features that are 0 in the whole batch, if these are the most.

        They add nothing, the pixels of a digit and what a ReLU lets through are mostly zeros, and
        the time of a small batch is that of reading `w`. `w` is laid out anew, column by column, so
        that the columns that are left can be copied whole; for a network that is trained no more.
        """
        self.w = np.asfortranarray(self.w)
        self.skips_zeros = self.w.size >= _MIN_SKIP_SIZE

    def apply(self, x: Array) -> Array:
        """Map `(input_size, batch)` to `(output_size, batch)`."""
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
        """Name the parameters as `torch.nn.Linear` does: weight `(out, in)`, bias `(out,)`."""
        state = {"weight": self.w}
        if self.b is not None:
            state["bias"] = self.b[:, 0]
        return state

    def __repr__(self) -> str:
        output_size, input_size = self.w.shape
        return f"LinearLayer({input_size}, {output_size}, bias={self.b is not None})"
