"""The graph of nodes: linked by hand, then walked backwards in topological order."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from nncore.node import Node
from nncore.types import Array

Gradients = dict[Node, list[Array]]


def make_sequential(layers: Sequence[Node]) -> list[Node]:
    """Make each layer the parent of the next one.

    Args:
        layers: Nodes in forward order; the sequence itself is left as it is.

    Returns:
        The same nodes in the order of `back_propagate`, last first.
    """
    for parent, child in pairwise(layers):
        parent.child = child
    return list(reversed(layers))


def back_propagate(top_sorted_nodes: Iterable[Node], upstream: Any = 1) -> Gradients:
    """Send the gradient from the loss back through the nodes.

    Args:
        top_sorted_nodes: The nodes, each one after its child; the loss comes first.
        upstream: The gradient that the node without a child starts from: 1 for the loss itself,
            `1 / batch` for its mean.

    Returns:
        For each node that has parameters, one gradient a parameter, in their order and shapes.

    Raises:
        RuntimeError: A node has recorded no forward pass.
    """
    gradients: Gradients = {}
    for node in top_sorted_nodes:
        if node.x is None:
            raise RuntimeError(f"{node!r} has recorded no input: run forward before backwards")
        node_gradients = node.backwards(upstream if node.child is None else node.child.input_grad)
        if node_gradients is not None:
            gradients[node] = node_gradients
    return gradients
