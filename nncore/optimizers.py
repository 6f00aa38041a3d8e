"""How parameters move: each optimizer takes the gradients of `back_propagate` and steps once."""

import math
from typing import Protocol

import numpy as np

from nncore.graph import Gradients
from nncore.node import Node
from nncore.types import Array


class Optimizer(Protocol):
    """What a training step needs of an optimizer; `lr` may be changed between steps."""

    lr: float

    def step(self, grads: Gradients) -> None:
        """Move every parameter that has a gradient, in place."""


class SGD:
    """Stochastic gradient descent: p <- p - lr * dL/dp."""

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def step(self, grads: Gradients) -> None:
        """Move every parameter that has a gradient, in place."""
        for node, node_grads in grads.items():
            for parameter, gradient in zip(node.parameters, node_grads, strict=True):
                parameter -= self.lr * gradient


class Adam:
    """Adam: each entry steps by its own mean gradient over its own root mean square.

    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1, in the
    efficient order of its section 2.

    Args:
        lr: The step size.
        beta1: Decay of the mean.
        beta2: Decay of the mean square.
        epsilon: Keeps the quotient finite.
    """

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.steps = 0
        self._moments: dict[Node, list[tuple[Array, Array]]] = {}

    def step(self, grads: Gradients) -> None:
        """Move every parameter that has a gradient, in place."""
        self.steps += 1
        step_size = self.lr * math.sqrt(1 - self.beta2**self.steps) / (1 - self.beta1**self.steps)
        for node, node_grads in grads.items():
            if node not in self._moments:
                self._moments[node] = [
                    (np.zeros_like(p), np.zeros_like(p)) for p in node.parameters
                ]
            for parameter, gradient, (mean, mean_square) in zip(
                node.parameters, node_grads, self._moments[node], strict=True
            ):
                mean += (1 - self.beta1) * (gradient - mean)
                mean_square += (1 - self.beta2) * (gradient * gradient - mean_square)
                parameter -= step_size * mean / (np.sqrt(mean_square) + self.epsilon)
