"""The optimizers: SGD exactly, momentum against its formula written out."""

from collections.abc import Callable

import numpy as np
import pytest

from nncore import (
    SGD,
    ClassificationLoss,
    FCModel,
    LinearLayer,
    NesterovSGD,
    NLLLoss,
    Optimizer,
    SoftmaxCrossEntropy,
    back_propagate,
)

both_optimizers = pytest.mark.parametrize(
    "make_optimizer", [lambda: SGD(0.1), lambda: NesterovSGD(0.1)], ids=["SGD", "Nesterov"]
)


def linear(rng: np.random.Generator) -> LinearLayer:
    return LinearLayer(3, 2, bias=True, init_func=lambda *shape: rng.standard_normal(shape))


def test_sgd_subtracts_the_rate_times_the_gradient_exactly(rng: np.random.Generator) -> None:
    layer = linear(rng)
    assert layer.b is not None
    w, b = layer.w.copy(), layer.b.copy()
    w_grad, b_grad = rng.standard_normal((2, 3)), rng.standard_normal((2, 1))
    optimizer = SGD(lr=0.25)
    optimizer.step({layer: [w_grad, b_grad]})
    np.testing.assert_array_equal(layer.w, w - 0.25 * w_grad)
    np.testing.assert_array_equal(layer.b, b - 0.25 * b_grad)
    optimizer.lr = 2
    optimizer.step({layer: [np.ones((2, 3)), np.zeros((2, 1))]})
    np.testing.assert_array_equal(layer.w, w - 0.25 * w_grad - 2)
    np.testing.assert_array_equal(layer.b, b - 0.25 * b_grad)


@pytest.mark.parametrize(("lr", "momentum"), [(1e-3, 0.9), (0.5, 0.3), (0.1, 0.0)])
def test_momentum_looks_ahead_along_its_velocity(
    lr: float, momentum: float, rng: np.random.Generator
) -> None:
    layer = linear(rng)
    expected = [parameter.copy() for parameter in layer.parameters]
    velocities = [np.zeros_like(parameter) for parameter in layer.parameters]
    optimizer = NesterovSGD(lr, momentum)
    for _ in range(7):
        gradients = [rng.standard_normal(p.shape) for p in layer.parameters]
        optimizer.step({layer: gradients})
        for which, gradient in enumerate(gradients):
            velocities[which] = momentum * velocities[which] + gradient
            expected[which] = expected[which] - lr * (gradient + momentum * velocities[which])
            np.testing.assert_allclose(layer.parameters[which], expected[which], rtol=1e-12)


def test_momentum_takes_a_steady_gradient_to_ten_times_the_step(rng: np.random.Generator) -> None:
    layer, optimizer = linear(rng), NesterovSGD(0.01)
    gradients = [np.ones((2, 3)), np.ones((2, 1))]
    for _ in range(200):
        before = layer.w.copy()
        optimizer.step({layer: gradients})
    np.testing.assert_allclose(before - layer.w, 0.1, rtol=1e-6)


def test_momentum_keeps_the_velocities_of_each_node_apart(rng: np.random.Generator) -> None:
    together, alone = NesterovSGD(0.1), NesterovSGD(0.1)
    first, second = linear(rng), linear(rng)
    copy = LinearLayer(3, 2, bias=True)
    copy.w, copy.b = first.w.copy(), None if first.b is None else first.b.copy()
    for _ in range(3):
        gradients = [rng.standard_normal(p.shape) for p in first.parameters]
        others = [rng.standard_normal(p.shape) for p in second.parameters]
        together.step({first: gradients, second: others})
        alone.step({copy: gradients})
    np.testing.assert_array_equal(first.w, copy.w)
    np.testing.assert_array_equal(first.b, copy.b)


def test_momentum_follows_a_rate_that_changes(rng: np.random.Generator) -> None:
    layer, optimizer = linear(rng), NesterovSGD(0.1)
    gradients = [np.ones((2, 3)), np.ones((2, 1))]
    optimizer.step({layer: gradients})
    before = layer.w.copy()
    optimizer.lr = 0
    optimizer.step({layer: gradients})
    np.testing.assert_array_equal(layer.w, before)


@both_optimizers
def test_steps_are_in_place_and_leave_the_gradients_alone(
    make_optimizer: Callable[[], Optimizer], rng: np.random.Generator
) -> None:
    layer = linear(rng)
    arrays = list(layer.parameters)
    gradients = [np.ones((2, 3)), np.ones((2, 1))]
    make_optimizer().step({layer: gradients})
    assert [id(p) for p in layer.parameters] == [id(array) for array in arrays]
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.ones_like(gradient))


@both_optimizers
def test_a_weight_that_is_bound_anew_is_the_one_that_moves(
    make_optimizer: Callable[[], Optimizer], rng: np.random.Generator
) -> None:
    layer = linear(rng)
    layer.kaiming_init(rng)
    layer.w = layer.w.copy()
    before = layer.w.copy()
    make_optimizer().step({layer: [np.ones((2, 3)), np.ones((2, 1))]})
    assert (layer.w < before).all()


@both_optimizers
def test_a_gradient_too_few_is_an_error(
    make_optimizer: Callable[[], Optimizer], rng: np.random.Generator
) -> None:
    with pytest.raises(ValueError, match="zip"):
        make_optimizer().step({linear(rng): [np.ones((2, 3))]})


@both_optimizers
@pytest.mark.parametrize("loss", [NLLLoss, SoftmaxCrossEntropy])
def test_after_one_step_every_parameter_of_every_layer_has_moved(
    make_optimizer: Callable[[], Optimizer],
    loss: type[ClassificationLoss],
    rng: np.random.Generator,
) -> None:
    model = FCModel((3, 4), (8, 8), 3, loss=loss(), rng=rng)
    before = {name: value.copy() for name, value in model.state_dict().items()}
    model.loss(model.forward(rng.random((6, 3, 4))), np.array([0, 1, 2, 0, 1, 2]))
    make_optimizer().step(back_propagate(model.topsorted))
    assert len(before) == 6
    for name, value in model.state_dict().items():
        assert (value != before[name]).any(), name


@both_optimizers
@pytest.mark.parametrize("lr", [0.1, np.float64(0.1)], ids=["float", "float64"])
def test_single_precision_stays_single_after_steps(
    make_optimizer: Callable[[], Optimizer], lr: float, rng: np.random.Generator
) -> None:
    model, optimizer = FCModel((3, 4), (5, 4), 3, rng=rng), make_optimizer()
    optimizer.lr = lr
    for _ in range(3):
        model.loss(model.forward(rng.random((6, 3, 4))), np.array([0, 1, 2, 0, 1, 2]))
        gradients = back_propagate(model.topsorted)
        optimizer.step(gradients)
    arrays = [*model.state_dict().values(), *(g for gs in gradients.values() for g in gs)]
    arrays += [array for node in model.topsorted for array in (node.x, node.ans, node.input_grad)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
