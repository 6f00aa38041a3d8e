"""Activation functions: ReLU and softmax, nodes without parameters."""

from typing import Any

import numpy as np

from nncore.node import Node
from nncore.types import Array


class ReLU(Node):
    """The rectified linear unit, `max(0, x)`, element by element."""

    def apply(self, x: Array) -> Array:
        """Set the negative elements of `x`, of any shape, to 0."""
        return np.maximum(x, 0)

    def backwards(self, g: Any = 1) -> None:
        """Pass the gradient where the input was positive; the derivative at 0 is taken as 0."""
        self.input_grad = g * (self.x > 0)


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

    def backwards1(self, g: Array) -> None:
        """Set `input_grad` from `g` of shape `(classes, batch)`, sample by sample.

        For one column of probabilities p the Jacobian is diag(p) - p p^T, which is symmetric.
        This is the definition; training uses the vectorized `backwards2`.
        """
        columns = []
        for p, upstream in zip(self.ans.T, g.T, strict=True):
            jacobian = np.diag(p) - np.outer(p, p)
            columns.append(jacobian @ upstream)
        self.input_grad = np.stack(columns, axis=1)

    def backwards2(self, g: Array) -> None:
        """Set `input_grad` from `g`, `(classes, batch)`: (diag(p) - p p^T) g = p * (g - p.g)."""
        self.input_grad = self.ans * (g - np.sum(self.ans * g, axis=0, keepdims=True))

    def backwards(self, g: Any = 1) -> None:
        """Set `input_grad` with the vectorized form, `backwards2`."""
        self.backwards2(g)
