"""The gradient check: central differences on every entry of the input and of every parameter."""

from collections.abc import Callable

import numpy as np

from nncore import FCModel, LinearLayer, Node, back_propagate
from nncore.types import Array

STEP = 1e-5
RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-8


def check_node(
    node: Node,
    x: Array,
    *targets: Array,
    rng: np.random.Generator,
    backwards: Callable[[Array], list[Array] | None] | None = None,
) -> None:
    """Check a node's `backwards` (or the given one) under a random upstream gradient.

    Raises:
        AssertionError: An entry is wrong; says which, of what, and by how much.
    """
    upstream = rng.standard_normal(np.shape(node.forward(x, *targets)))
    parameter_gradients = (backwards or node.backwards)(upstream) or []

    def objective() -> float:
        return float(np.sum(upstream * node.apply(x, *targets)))

    names = [name for name, at in node.parameter_names.items() if getattr(node, at) is not None]
    _check_array(repr(node), "input", x, node.input_grad, objective)
    for name, parameter, got in zip(names, node.parameters, parameter_gradients, strict=True):
        _check_array(repr(node), name, parameter, got, objective)


def check_model(model: FCModel, images: Array, targets: Array, rng: np.random.Generator) -> None:
    """Check the gradients of `back_propagate` for every parameter of a model and for the images.

    Raises:
        AssertionError: An entry is wrong; says which, of what, and by how much.
    """
    upstream = float(rng.standard_normal())
    model.loss(model.forward(images), targets)
    gradients = back_propagate(model.topsorted, upstream)

    def objective() -> float:
        return upstream * float(model.loss.apply(model.apply(images), targets))

    input_grad = model.layers[0].input_grad.T.reshape(images.shape)
    _check_array(repr(model), "input", images, input_grad, objective)
    linear_layers = [layer for layer in model.layers if isinstance(layer, LinearLayer)]
    for number, layer in enumerate(linear_layers):
        node = f"{model!r}, linear layer {number}"
        for name, parameter, got in zip(
            layer.parameter_names, layer.parameters, gradients[layer], strict=True
        ):
            _check_array(node, name, parameter, got, objective)


def _check_array(
    node: str, name: str, array: Array, gradient: Array, objective: Callable[[], float]
) -> None:
    for what in (array, gradient):
        if what.dtype != np.float64:
            raise AssertionError(f"{node}: {name}: expected float64, got {what.dtype}")
    if gradient.shape != array.shape:
        raise AssertionError(f"{node}: {name}: expected {array.shape}, got {gradient.shape}")
    for index in np.ndindex(array.shape):
        expected, got = _central_difference(objective, array, index), gradient[index]
        if not np.isclose(got, expected, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE):
            raise AssertionError(
                f"{node}: gradient of {name}{list(index)}: expected {expected:.9g}, got {got:.9g}"
            )


def _central_difference(
    objective: Callable[[], float], array: Array, index: tuple[int, ...]
) -> float:
    before = array[index]
    array[index] = before + STEP
    above = objective()
    array[index] = before - STEP
    below = objective()
    array[index] = before
    return (above - below) / (2 * STEP)
