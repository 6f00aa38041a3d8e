"""Loss functions: nodes that compare an output with a target and return a scalar.

Every loss is summed over the batch, as in the notebook. To train on the mean, divide the upstream
gradient by the batch size.
"""

from typing import Any, ClassVar

import numpy as np

from nncore.encoding import check_labels, one_hot_encode
from nncore.node import Node
from nncore.types import Array


class Loss(Node):
    """A node with two inputs, the output `x` and the target `t`; only `x` gets a gradient.

    Attributes:
        takes_logits: Whether `x` are logits; otherwise they are probabilities or any outputs.
        t: The encoded target of the last `forward`; None before it, and in losses that take logits.
    """

    takes_logits: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.t: Any = None

    def forward(self, x: Array, *targets: Array) -> Any:
        """Return the loss, a scalar, and record input and target, shaped as in `apply`."""
        (t,) = targets
        self.t = self.encode(t, x)
        return super().forward(x, self.t)

    def backwards(self, g: Any = 1) -> None:
        """Set `input_grad`, shaped like the input, from a scalar `g`."""
        raise NotImplementedError(f"{type(self).__name__} must define backwards")

    def encode(self, t: Array, x: Array) -> Array:
        """Return the target in the shape and dtype of `x`.

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


class NLLLoss(Loss):
    """The negative log-likelihood of probabilities, `-sum(t * log(x))`; its input is a softmax.

    Targets are labels `(batch,)`, or class weights `(classes, batch)`.

    Probabilities are clipped to the dtype's smallest normal number, which keeps loss and gradient
    finite. Prefer `SoftmaxCrossEntropy` for training: it is exact for logits of any size.
    """

    def encode(self, t: Array, x: Array) -> Array:
        """Return the targets as `(classes, batch)` in the shape and dtype of `x`; labels one-hot.

        Raises:
            TypeError: The labels are not integers.
            ValueError: A label lies outside the classes, or shapes do not match.
        """
        one_hot = one_hot_encode(np.asarray(t), num_classes=x.shape[0], dtype=x.dtype)
        if one_hot.shape != x.shape:
            raise _wrong_shape(t, x)
        return one_hot.astype(x.dtype, copy=False)

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


class SoftmaxCrossEntropy(Loss):
    """`Softmax` and `NLLLoss` fused into one node, exact and finite for logits of any size.

    Targets are labels `(batch,)`, or class weights `(classes, batch)`.
    """

    takes_logits = True

    def __init__(self) -> None:
        super().__init__()
        self._gradient: Any = None

    def apply(self, x: Array, *targets: Array) -> Any:
        """Return the loss, a scalar, of logits `(classes, batch)` and targets."""
        return self._compute(x, *targets)[0]

    def forward(self, x: Array, *targets: Array) -> Any:
        """Return the loss, a scalar; record the input and the gradient, shaped as in `apply`."""
        self.x = x
        self.ans, self._gradient = self._compute(x, *targets)
        return self.ans

    def _compute(self, x: Array, *targets: Array) -> tuple[Any, Array]:
        """Return the loss, a scalar, and its gradient, `(classes, batch)`."""
        (t,) = targets
        return cross_entropy(x, t)

    def backwards(self, g: Any = 1) -> None:
        """Set `input_grad`, `(classes, batch)`, for a scalar `g`."""
        self.input_grad = g * self._gradient


class DistillationLoss(SoftmaxCrossEntropy):
    """Cross-entropy against labels, and against the probabilities of teachers at a temperature.

    With the temperature T and the weight a it is (1 - a) H(t, x) + a T^2 H(q, x / T). The factor
    T^2 keeps the share of both gradients when T changes.
    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.

    The targets are labels, `(batch,)`, and the teachers' probabilities at the temperature,
    `(classes, batch)`. With labels alone, as in an evaluation, it is `SoftmaxCrossEntropy`.

    Args:
        temperature: Divides the logits of the network; over 0.
        teacher_weight: The weight of the teachers' part, 0 to 1.
    """

    def __init__(self, temperature: float, teacher_weight: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.teacher_weight = teacher_weight

    def _compute(self, x: Array, *targets: Array) -> tuple[Any, Array]:
        hard, hard_gradient = cross_entropy(x, targets[0])
        if len(targets) == 1:
            return hard, hard_gradient
        soft, soft_gradient = cross_entropy(x / self.temperature, targets[1])
        share, weight = 1 - self.teacher_weight, self.teacher_weight * self.temperature
        loss = share * hard + weight * self.temperature * soft
        return loss, share * hard_gradient + weight * soft_gradient


def cross_entropy(x: Array, t: Array) -> tuple[Any, Array]:
    """Return the cross-entropy of targets and logits, and its gradient.

    With s = logsumexp(x) the loss of a column is sum(t * (s - x)), and its gradient is
    softmax(x) * sum(t) - t. Source: Bishop 2006, "Pattern Recognition and Machine Learning",
    equations 4.108 and 4.109.

    Args:
        x: Logits, `(classes, batch)`.
        t: Labels, `(batch,)`, or class weights, `(classes, batch)`.

    Returns:
        The loss summed over the batch, and the gradient, `(classes, batch)`, in the dtype of `x`.

    Raises:
        TypeError: The labels are not integers.
        ValueError: A label lies outside the classes, or shapes do not match.
    """
    shifted = x - x.max(axis=0)
    gradient = np.exp(shifted)
    normalizer = gradient.sum(axis=0)
    gradient /= normalizer
    if t.shape == x.shape:
        t = t.astype(x.dtype, copy=False)
        mass = t.sum(axis=0)
        loss = np.sum(t * (np.log(normalizer) - shifted))
        gradient *= mass
        gradient -= t
    elif t.shape == x.shape[1:]:
        check_labels(t, len(x))
        of_label = t, np.arange(len(t))
        loss = np.sum(np.log(normalizer) - shifted[of_label])
        gradient[of_label] -= 1
    else:
        raise _wrong_shape(t, x)
    return loss, gradient


def _wrong_shape(t: Array, x: Array) -> ValueError:
    return ValueError(f"expected targets of shape {x.shape} or {x.shape[1:]}, got {np.shape(t)}")
