"""The graph: make_sequential and back_propagate."""

import numpy as np
import pytest

from nncore import MSE, LinearLayer, ReLU, back_propagate, make_sequential


def linear(inputs: int, outputs: int, bias: bool = True) -> LinearLayer:
    return LinearLayer(inputs, outputs, bias, init_func=lambda *shape: np.ones(shape))


def test_make_sequential_links_each_node_to_the_next_and_returns_them_last_first() -> None:
    first, second, third = layers = [linear(3, 2), ReLU(), MSE()]
    assert make_sequential(layers) == [third, second, first]
    assert (first.child, second.child, third.child) == (second, third, None)
    assert layers == [first, second, third]


def test_each_parameter_has_a_gradient_that_is_not_accumulated() -> None:
    with_bias, without, mse = linear(3, 2), linear(2, 1, bias=False), MSE()
    nodes = make_sequential([with_bias, relu := ReLU(), without, mse])
    mse(without(relu(with_bias(np.ones((3, 4))))), np.zeros((1, 4)))
    first, again = (back_propagate(nodes) for _ in range(2))
    assert {*first} == {with_bias, without}
    for node, gradients in first.items():
        assert [g.shape for g in gradients] == [p.shape for p in node.parameters]
        for got, expected in zip(again[node], gradients, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_backwards_before_forward_is_an_error_that_names_the_node() -> None:
    with pytest.raises(RuntimeError, match=r"LinearLayer\(3, 2, bias=True\) has recorded no input"):
        back_propagate([linear(3, 2)])
