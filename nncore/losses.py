"""Loss functions: nodes that compare an output with a target and return a scalar.

Every loss is summed over the batch, as in the notebook. To train on the mean, divide the upstream
gradient by the batch size.
"""

from typing import Any

import numpy as np

from nncore.activations import softmax
from nncore.encoding import one_hot_encode
from nncore.node import Node
from nncore.types import Array


class Loss(Node):
    """A node with two inputs, the output `x` and the target `t`; only `x` gets a gradient.

    Attributes:
        t: The encoded target of the last `forward`, None before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.t: Any = None

    def forward(self, x: Array, *targets: Array) -> Any:
        """Return the loss, a scalar, and record input and target, shaped as in `apply`."""
        (t,) = targets
        self.t = self.encode(t, x)
        return super().forward(x, self.t)

    def encode(self, t: Array, x: Array) -> Array:
        """Return the target in the dtype of `x`, after checking its shape.

        Raises:
            ValueError: Its shape is not that of `x`; numpy would broadcast it silently.
        """
        targets = np.asarray(t, dtype=np.result_type(x, np.float16))
        if targets.shape != x.shape:
            raise ValueError(f"expected targets of shape {x.shape}, got {targets.shape}")
        return targets


class MSE(Loss):
    """Half the summed squared error, `0.5 * sum((x - t)^2)`."""

    def apply(self, x: Array, t: Array) -> Any:
        """Return the loss, a scalar, of outputs and targets of the same shape."""
        return 0.5 * np.sum((x - self.encode(t, x)) ** 2)

    def backwards(self, g: Any = 1) -> None:
        """Set dL/dx = g (x - t), for a scalar `g`."""
        self.input_grad = g * (self.x - self.t)


class ClassificationLoss(Loss):
    """A loss whose targets are labels `(batch,)`, or class weights `(classes, batch)`."""

    takes_logits = False

    def encode(self, t: Array, x: Array) -> Array:
        """Return the targets as `(classes, batch)` in the shape and dtype of `x`; labels one-hot.

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
    """The negative log-likelihood of probabilities, `-sum(t * log(x))`; its input is a softmax.

    Probabilities are clipped to the dtype's smallest normal number, which keeps loss and gradient
    finite. Prefer `SoftmaxCrossEntropy` for training: it is exact for logits of any size.
    """

    def apply(self, x: Array, t: Array) -> Any:
        """Return the loss, a scalar, of probabilities `(classes, batch)` and targets."""
        encoded = self.encode(t, x)
        return -np.sum(encoded * np.log(_clipped(x)))

    def backwards(self, g: Any = 1) -> None:
        """Set dL/dx = -g t / x, for a scalar `g`."""
        self.input_grad = -g * self.t / _clipped(self.x)


def _clipped(probabilities: Array) -> Array:
    clipped: Array = np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)
    return clipped


class SoftmaxCrossEntropy(ClassificationLoss):
    """`Softmax` and `NLLLoss` fused into one node, exact and finite for logits of any size.

    With s = logsumexp(x) the loss of a column is sum(t * (s - x)), and its gradient is
    softmax(x) * sum(t) - t. Source: Bishop 2006, "Pattern Recognition and Machine Learning",
    equations 4.108 and 4.109.
    """

    takes_logits = True

    def apply(self, x: Array, t: Array) -> Any:
        """Return the loss, a scalar, of logits `(classes, batch)` and targets."""
        encoded = self.encode(t, x)
        shifted = x - x.max(axis=0, keepdims=True)
        log_normalizer = np.log(np.exp(shifted).sum(axis=0, keepdims=True))
        return np.sum(encoded * (log_normalizer - shifted))

    def backwards(self, g: Any = 1) -> None:
        """Set dL/dx = g (softmax(x) sum(t) - t), for a scalar `g`."""
        target_mass = self.t.sum(axis=0, keepdims=True)
        self.input_grad = g * (softmax(self.x) * target_mass - self.t)
