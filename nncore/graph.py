"""The computation graph: linking nodes, and back-propagation through them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from nncore.node import Node
from nncore.types import Array

Gradients = dict[Node, list[Array]]


def make_sequential(layers: Sequence[Node]) -> list[Node]:
    """Make each layer the parent of the next one.

    Args:
        layers: Nodes in forward order; the sequence itself is not changed.

    Returns:
        The same nodes in reverse order, as `back_propagate` takes them.
    """
    for parent, child in pairwise(layers):
        parent.child = child
    return list(reversed(layers))


def back_propagate(top_sorted_nodes: Iterable[Node], upstream: Any = 1) -> Gradients:
    """Propagate the gradient from the loss back through the nodes.

    Args:
        top_sorted_nodes: The nodes in reverse topological order; the loss comes first.
        upstream: The upstream gradient of the loss: 1 for a loss summed over the batch, `1 / batch`
            for its mean.

    Returns:
        For each node with parameters, one gradient per parameter, in their order and shapes.

    Raises:
        RuntimeError: `forward` of a node has not run.
    """
    gradients: Gradients = {}
    for node in top_sorted_nodes:
        if node.x is None:
            raise RuntimeError(f"{node!r} has recorded no input: run forward before backwards")
        node_gradients = node.backwards(upstream if node.child is None else node.child.input_grad)
        if node_gradients is not None:
            gradients[node] = node_gradients
    return gradients
