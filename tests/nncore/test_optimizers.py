"""The optimizers against their formulas."""

from collections.abc import Callable

import numpy as np
import pytest

from nncore import (
    SGD,
    FCModel,
    Gradients,
    LinearLayer,
    NesterovSGD,
    Optimizer,
    SoftmaxCrossEntropy,
    back_propagate,
)


@pytest.mark.parametrize(
    ("make_optimizer", "momentum"),
    [(SGD, 0.0), (NesterovSGD, 0.9), (lambda lr: NesterovSGD(lr, 0.0), 0.0)],
    ids=["SGD", "Nesterov", "Nesterov without momentum"],
)
def test_steps_follow_the_formula_in_place_and_leave_the_gradients_unchanged(
    make_optimizer: Callable[[float], Optimizer], momentum: float, rng: np.random.Generator
) -> None:
    layers = [
        LinearLayer(3, 2, bias=True, init_func=lambda *shape: rng.standard_normal(shape))
        for _ in range(2)
    ]
    optimizer = make_optimizer(0.1)
    arrays = [layer.parameters for layer in layers]
    expected = [[p.copy() for p in layer.parameters] for layer in layers]
    velocities = [[np.zeros_like(p) for p in layer.parameters] for layer in layers]
    for optimizer.lr in (0.1, 0.1, 0.05, 0.5):
        gradients: Gradients = {
            x: [rng.standard_normal(p.shape) for p in x.parameters] for x in layers
        }
        copies = [[g.copy() for g in of_layer] for of_layer in gradients.values()]
        optimizer.step(gradients)
        for layer, values, kept, given in zip(layers, expected, velocities, copies, strict=True):
            for k, gradient in enumerate(given):
                kept[k] = momentum * kept[k] + gradient
                values[k] = values[k] - optimizer.lr * (gradient + momentum * kept[k])
                np.testing.assert_allclose(layer.parameters[k], values[k], rtol=1e-12)
                np.testing.assert_array_equal(gradients[layer][k], gradient)
    for layer, before in zip(layers, arrays, strict=True):
        assert all(now is then for now, then in zip(layer.parameters, before, strict=True))


@pytest.mark.parametrize("make_optimizer", [SGD, NesterovSGD])
def test_a_step_changes_every_parameter_and_no_dtype(
    make_optimizer: Callable[[float], Optimizer], rng: np.random.Generator
) -> None:
    model = FCModel((3, 4), (8, 8), 3, loss=SoftmaxCrossEntropy(), rng=rng)
    optimizer = make_optimizer(np.float64(0.1))
    before = {name: value.copy() for name, value in model.state_dict().items()}
    model.loss(model.forward(rng.random((6, 3, 4))), np.array([0, 1, 2, 0, 1, 2]))
    optimizer.step(back_propagate(model.topsorted))
    for name, value in model.state_dict().items():
        assert (value != before[name]).any(), name
        assert value.dtype == np.float32
