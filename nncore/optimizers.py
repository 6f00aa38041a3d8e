"""Optimizers: they update parameters from the gradients of `back_propagate`."""

from typing import Protocol

import numpy as np

from nncore.graph import Gradients
from nncore.node import Node
from nncore.types import Array


class Optimizer(Protocol):
    """The interface of an optimizer; `lr` may change between steps."""

    lr: float

    def state(self, node: Node) -> list[Array]:
        """Return the arrays (not copies) kept for a node, in the shapes of its parameters."""

    def step(self, grads: Gradients) -> None:
        """Move every parameter that has a gradient, of its own shape, in place."""


class SGD:
    """Stochastic gradient descent: p <- p - lr * dL/dp."""

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def state(self, node: Node) -> list[Array]:  # noqa: ARG002
        """Return no arrays of any shape: SGD keeps no state."""
        return []

    def step(self, grads: Gradients) -> None:
        """Move every parameter that has a gradient, of its own shape, in place."""
        for node, node_grads in grads.items():
            for parameter, gradient in zip(node.parameters, node_grads, strict=True):
                parameter -= self.lr * gradient


class NesterovSGD:
    """SGD with Nesterov's momentum: v <- m * v + g, then p <- p - lr * (g + m * v).

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep
    learning", section 2, with the parameters kept at the point where the gradient is taken, as
    `torch.optim.SGD` does.

    Args:
        lr: The step size.
        momentum: The share of the velocity kept from step to step, 0 to 1.
    """

    def __init__(self, lr: float, momentum: float = 0.9) -> None:
        self.lr = lr
        self.momentum = momentum
        self._velocities: dict[Node, list[Array]] = {}

    def state(self, node: Node) -> list[Array]:
        """Return the velocity of each parameter, in its shape; initially zeros."""
        if node not in self._velocities:
            self._velocities[node] = [np.zeros_like(p) for p in node.parameters]
        return self._velocities[node]

    def step(self, grads: Gradients) -> None:
        """Move every parameter that has a gradient, of its own shape, in place."""
        for node, node_grads in grads.items():
            for parameter, gradient, velocity in zip(
                node.parameters, node_grads, self.state(node), strict=True
            ):
                velocity *= self.momentum
                velocity += gradient
                parameter -= self.lr * (gradient + self.momentum * velocity)
