"""The optimizers against their formulas."""

from collections.abc import Callable

import numpy as np
import pytest

from nncore import (
    SGD,
    ClassificationLoss,
    FCModel,
    Gradients,
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


def test_sgd_subtracts_the_learning_rate_times_the_gradient(rng: np.random.Generator) -> None:
    layer, optimizer = linear(rng), SGD(lr=0.25)
    for optimizer.lr in (0.25, 2):
        expected = [parameter.copy() for parameter in layer.parameters]
        gradients = [rng.standard_normal(p.shape) for p in layer.parameters]
        optimizer.step({layer: gradients})
        for got, before, gradient in zip(layer.parameters, expected, gradients, strict=True):
            np.testing.assert_array_equal(got, before - optimizer.lr * gradient)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_nesterov_follows_its_formula_for_each_layer(
    momentum: float, rng: np.random.Generator
) -> None:
    layers, optimizer = [linear(rng), linear(rng)], NesterovSGD(0.1, momentum)
    expected = [[p.copy() for p in layer.parameters] for layer in layers]
    velocities = [[np.zeros_like(p) for p in layer.parameters] for layer in layers]
    for optimizer.lr in (0.1, 0.1, 0.05, 0.5):
        gradients: Gradients = {
            x: [rng.standard_normal(p.shape) for p in x.parameters] for x in layers
        }
        optimizer.step(gradients)
        for layer, values, kept in zip(layers, expected, velocities, strict=True):
            for k, gradient in enumerate(gradients[layer]):
                kept[k] = momentum * kept[k] + gradient
                values[k] = values[k] - optimizer.lr * (gradient + momentum * kept[k])
                np.testing.assert_allclose(layer.parameters[k], values[k], rtol=1e-12)


@both_optimizers
def test_steps_are_in_place_and_leave_the_gradients_unchanged(
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
@pytest.mark.parametrize("loss", [NLLLoss, SoftmaxCrossEntropy])
def test_a_step_changes_every_parameter_and_no_dtype(
    make_optimizer: Callable[[], Optimizer],
    loss: type[ClassificationLoss],
    rng: np.random.Generator,
) -> None:
    model, optimizer = FCModel((3, 4), (8, 8), 3, loss=loss(), rng=rng), make_optimizer()
    optimizer.lr = np.float64(0.1)
    before = {name: value.copy() for name, value in model.state_dict().items()}
    for _ in range(2):
        model.loss(model.forward(rng.random((6, 3, 4))), np.array([0, 1, 2, 0, 1, 2]))
        optimizer.step(back_propagate(model.topsorted))
    assert len(before) == 6
    for name, value in model.state_dict().items():
        assert (value != before[name]).any(), name
        assert value.dtype == np.float32
