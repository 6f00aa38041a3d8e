"""The graph: make_sequential and back_propagate."""

from collections.abc import Callable

import numpy as np
import pytest

from nncore import MSE, LinearLayer, Node, ReLU, back_propagate, make_sequential


def linear(inputs: int, outputs: int, bias: bool = True) -> LinearLayer:
    return LinearLayer(inputs, outputs, bias, init_func=lambda *shape: np.ones(shape))


@pytest.mark.parametrize("kind", [list, tuple])
def test_make_sequential_links_each_node_to_the_next_and_returns_them_last_first(
    kind: Callable[[list[Node]], list[Node]],
) -> None:
    first, second, third = linear(3, 2), ReLU(), MSE()
    layers = kind([first, second, third])
    assert make_sequential(layers) == [third, second, first]
    assert (first.child, second.child, third.child) == (second, third, None)
    assert layers == kind([first, second, third])


def test_each_parameter_has_a_gradient() -> None:
    with_bias, without = linear(3, 2), linear(2, 1, bias=False)
    nodes = make_sequential([with_bias, ReLU(), without, mse := MSE()])
    mse(without(nodes[2](with_bias(np.ones((3, 4))))), np.zeros((1, 4)))
    gradients = back_propagate(nodes)
    assert {*gradients} == {with_bias, without}
    for node, node_gradients in gradients.items():
        assert [g.shape for g in node_gradients] == [p.shape for p in node.parameters]


def test_gradients_are_not_accumulated() -> None:
    layer, mse = linear(3, 2), MSE()
    nodes = make_sequential([layer, mse])
    mse(layer(np.ones((3, 4))), np.zeros((2, 4)))
    first = [gradient.copy() for gradient in back_propagate(nodes)[layer]]
    first_input_grad = layer.input_grad.copy()
    for got, expected in zip(back_propagate(nodes)[layer], first, strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(layer.input_grad, first_input_grad)


def test_backwards_before_forward_is_an_error_that_names_the_node() -> None:
    with pytest.raises(RuntimeError) as error:
        back_propagate([linear(3, 2)])
    assert str(error.value) == (
        "LinearLayer(3, 2, bias=True) has recorded no input: run forward before backwards"
    )
