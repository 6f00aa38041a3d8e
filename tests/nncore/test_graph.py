"""The graph: linked by make_sequential, walked backwards by back_propagate."""

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


def test_make_sequential_leaves_the_child_of_the_last_node_alone() -> None:
    layer, relu, loss = linear(3, 2), ReLU(), MSE()
    relu.child = loss
    make_sequential([layer, relu])
    assert relu.child is loss


@pytest.mark.parametrize("count", [0, 1])
def test_make_sequential_takes_as_few_nodes_as_there_are(count: int) -> None:
    layers: list[Node] = [ReLU() for _ in range(count)]
    assert make_sequential(layers) == layers
    assert all(layer.child is None for layer in layers)


def test_back_propagate_by_hand() -> None:
    first, relu, second, mse = linear(2, 2), ReLU(), linear(2, 1), MSE()
    first.w = np.array([[1.0, 2.0], [-1.0, -1.0]])
    second.w = np.array([[3.0, 4.0]])
    first.b = np.zeros((2, 1))
    nodes = make_sequential([first, relu, second, mse])
    out = second(relu(first(np.array([[1.0], [1.0]]))))
    mse(out, np.array([[5.0]]))

    gradients = back_propagate(nodes)

    np.testing.assert_array_equal(out, [[10]])
    np.testing.assert_array_equal(gradients[second][0], [[15, 0]])
    np.testing.assert_array_equal(gradients[second][1], [[5]])
    np.testing.assert_array_equal(gradients[first][0], [[15, 15], [0, 0]])
    np.testing.assert_array_equal(gradients[first][1], [[15], [0]])
    np.testing.assert_array_equal(first.input_grad, [[15], [30]])


def test_only_nodes_with_parameters_have_gradients_one_for_each() -> None:
    with_bias, without = linear(3, 2), linear(2, 1, bias=False)
    nodes = make_sequential([with_bias, ReLU(), without, mse := MSE()])
    mse(without(nodes[2](with_bias(np.ones((3, 4))))), np.zeros((1, 4)))
    gradients = back_propagate(nodes)
    assert {*gradients} == {with_bias, without}
    for node, node_gradients in gradients.items():
        assert [g.shape for g in node_gradients] == [p.shape for p in node.parameters]


def test_upstream_is_what_the_last_node_starts_from() -> None:
    layer, mse = linear(3, 2), MSE()
    nodes = make_sequential([layer, mse])
    mse(layer(np.ones((3, 4))), np.zeros((2, 4)))
    of_sum = back_propagate(nodes)[layer]
    of_mean = back_propagate(nodes, 1 / 4)[layer]
    for summed, mean in zip(of_sum, of_mean, strict=True):
        np.testing.assert_array_equal(mean, summed / 4)


def test_gradients_are_replaced_and_not_accumulated() -> None:
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


def test_backwards_before_the_loss_is_an_error_that_names_the_loss() -> None:
    layer, mse = linear(3, 2), MSE()
    nodes = make_sequential([layer, mse])
    layer(np.ones((3, 4)))
    with pytest.raises(RuntimeError, match=r"^MSE\(\) has recorded no input: run forward"):
        back_propagate(nodes)
