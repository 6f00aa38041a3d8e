"""Nodes that end the graph: each takes an answer and a target and gives one number.

Every loss is summed over the batch, as in the notebook: divide the upstream gradient by the
batch size to train on the mean.
"""

from typing import Any

import numpy as np

from nncore.activations import softmax
from nncore.encoding import one_hot_encode
from nncore.node import Node
from nncore.types import Array


class Loss(Node):
    """A node of two inputs, the answer `x` and the target `t`; only `x` gets a gradient.

    Attributes:
        t: The target of the last `forward` in the form the formula uses, None before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.t: Any = None

    def forward(self, x: Array, *targets: Array) -> Any:
        """Compute the loss, a scalar, and record the input and the target, shaped as in `apply`."""
        (t,) = targets
        self.t = self.encode(t, x)
        return super().forward(x, self.t)

    def encode(self, t: Array, x: Array) -> Array:
        """Bring a target to the form that the formula uses: the shape and the dtype of `x`.

        Raises:
            ValueError: It has another shape, which numpy might broadcast in silence.
        """
        targets = np.asarray(t, dtype=np.result_type(x, np.float16))
        if targets.shape != x.shape:
            raise ValueError(f"expected targets of shape {x.shape}, got {targets.shape}")
        return targets


class MSE(Loss):
    """Half the summed squared error, `0.5 * sum((x - t)^2)`."""

    def apply(self, x: Array, t: Array) -> Any:
        """Map answers and targets of one shape to a scalar."""
        return 0.5 * np.sum((x - self.encode(t, x)) ** 2)

    def backwards(self, g: Any = 1) -> None:
        """Set dL/dx = g (x - t), for a scalar `g`."""
        self.input_grad = g * (self.x - self.t)


class ClassificationLoss(Loss):
    """A loss whose targets are labels `(batch,)`, or one column of weights a sample."""

    takes_logits = False

    def encode(self, t: Array, x: Array) -> Array:
        """Encode labels one-hot with as many classes as `x`, `(classes, batch)`, has rows.

        Raises:
            TypeError: The labels are not integers.
            ValueError: A label lies outside the classes, or shapes do not match.
        """
        one_hot = one_hot_encode(np.asarray(t), num_classes=x.shape[0], dtype=x.dtype)
        if one_hot.shape != x.shape:
            raise ValueError(
                f"expected targets of shape {x.shape} or {x.shape[1:]}, got {np.shape(t)}"
            )
        return one_hot.astype(x.dtype, copy=False)


class NLLLoss(ClassificationLoss):
    """The negative log-likelihood of probabilities, `-sum(t * log(x))`, to follow `Softmax`.

    Probabilities below the dtype's smallest normal number count as that number, which keeps
    loss and gradient finite. Train with `SoftmaxCrossEntropy` where logits may be that far apart.
    """

    def apply(self, x: Array, t: Array) -> Any:
        """Map probabilities `(classes, batch)` and targets to a scalar."""
        encoded = self.encode(t, x)
        return -np.sum(encoded * np.log(_bounded(x)))

    def backwards(self, g: Any = 1) -> None:
        """Set dL/dx = -g t / x, for a scalar `g`."""
        self.input_grad = -g * self.t / _bounded(self.x)


def _bounded(probabilities: Array) -> Array:
    bounded: Array = np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)
    return bounded


class SoftmaxCrossEntropy(ClassificationLoss):
    """`Softmax` and `NLLLoss` fused into one node: exact and finite for logits of any size.

    With s = logsumexp(x) the loss of a column is sum(t * (s - x)), and its gradient is
    softmax(x) * sum(t) - t. Source: Bishop 2006, "Pattern Recognition and Machine Learning",
    equations 4.108 and 4.109.
    """

    takes_logits = True

    def apply(self, x: Array, t: Array) -> Any:
        """Map logits `(classes, batch)` and targets to a scalar."""
        encoded = self.encode(t, x)
        shifted = x - x.max(axis=0, keepdims=True)
        log_normalizer = np.log(np.exp(shifted).sum(axis=0, keepdims=True))
        return np.sum(encoded * (log_normalizer - shifted))

    def backwards(self, g: Any = 1) -> None:
        """Set dL/dx = g (softmax(x) sum(t) - t), for a scalar `g`."""
        target_mass = self.t.sum(axis=0, keepdims=True)
        self.input_grad = g * (softmax(self.x) * target_mass - self.t)
