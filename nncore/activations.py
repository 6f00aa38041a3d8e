"""Nodes without parameters that sit between and after the layers: ReLU and softmax."""

from typing import Any

import numpy as np

from nncore.node import Node
from nncore.types import Array


class ReLU(Node):
    """The rectified linear unit, `max(0, x)`, entry by entry."""

    def apply(self, x: Array) -> Array:
        """Zero the negative entries; the shape stays."""
        return np.maximum(x, 0)

    def backwards(self, g: Any = 1) -> None:
        """Let the gradient through where the input was positive; at 0 the derivative taken is 0."""
        self.input_grad = g * (self.x > 0)


def softmax(logits: Array) -> Array:
    """Turn each column of logits into probabilities, finite for logits of any size.

    Subtracting a column's maximum changes nothing but keeps `exp` from overflowing.
    Source: Goodfellow et al. 2016, "Deep Learning", equation 6.29 and section 4.1.

    Args:
        logits: `(classes, batch)`.

    Returns:
        Probabilities of the same shape and dtype; each column sums to 1.
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
        """Set `input_grad` sample by sample, with the Jacobian written out.

        For one column of probabilities p the Jacobian is diag(p) - p p^T, which is symmetric.
        This is the definition to read and to test against; `backwards2` is the one that runs.

        Args:
            g: Upstream gradient, `(classes, batch)`.
        """
        columns = []
        for p, upstream in zip(self.ans.T, g.T, strict=True):
            jacobian = np.diag(p) - np.outer(p, p)
            columns.append(jacobian @ upstream)
        self.input_grad = np.stack(columns, axis=1)

    def backwards2(self, g: Array) -> None:
        """Set `input_grad` for the whole batch: (diag(p) - p p^T) g = p * (g - p.g).

        Args:
            g: Upstream gradient, `(classes, batch)`.
        """
        self.input_grad = self.ans * (g - np.sum(self.ans * g, axis=0, keepdims=True))

    def backwards(self, g: Any = 1) -> None:
        """Set `input_grad` by the vectorized form, `backwards2`."""
        self.backwards2(g)
