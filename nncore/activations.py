"""Activation functions: ReLU and softmax, nodes without parameters."""

from typing import Any

import numpy as np

from nncore.node import Node
from nncore.types import Array


class Activation(Node):
    """A node without parameters that stands between linear layers."""


class ReLU(Activation):
    """The rectified linear unit, `max(0, x)`, element by element."""

    def apply(self, x: Array) -> Array:
        """Set the negative elements of `x`, of any shape, to 0."""
        return np.maximum(x, 0)

    def backwards(self, g: Any) -> None:
        """Pass the gradient where the input was positive; the derivative at 0 is taken as 0."""
        self.input_grad = g * (self.ans > 0)


def softmax(logits: Array) -> Array:
    """Convert each column of logits `(classes, batch)` to probabilities of the same dtype.

    Subtracting a column's maximum does not change the result and keeps `exp` from overflowing.
    Source: Goodfellow et al. 2016, "Deep Learning", equation 6.29 and section 4.1.
    """
    exponentials = np.exp(logits - logits.max(axis=0, keepdims=True))
    normalized: Array = exponentials / exponentials.sum(axis=0, keepdims=True)
    return normalized


class Softmax(Node):
    """Softmax over the classes, the first axis."""

    def apply(self, x: Array) -> Array:
        """Map logits `(classes, batch)` to probabilities of the same shape."""
        return softmax(x)

    def backwards(self, g: Any) -> None:
        """Set `input_grad` from `g`, `(classes, batch)`.

        For one column of probabilities p the Jacobian is diag(p) - p p^T, so that the gradient is
        p * (g - p.g).
        """
        self.input_grad = self.ans * (g - np.sum(self.ans * g, axis=0, keepdims=True))
