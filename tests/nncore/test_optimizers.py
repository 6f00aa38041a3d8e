"""The optimizers: SGD exactly, Adam against the paper's algorithm written out."""

from collections.abc import Callable

import numpy as np
import pytest

from nncore import (
    SGD,
    Adam,
    ClassificationLoss,
    FCModel,
    LinearLayer,
    NLLLoss,
    Optimizer,
    SoftmaxCrossEntropy,
    back_propagate,
)
from nncore.types import Array

both_optimizers = pytest.mark.parametrize(
    "make_optimizer", [lambda: SGD(0.1), lambda: Adam(0.1)], ids=["SGD", "Adam"]
)


def linear(rng: np.random.Generator) -> LinearLayer:
    return LinearLayer(3, 2, bias=True, init_func=lambda *shape: rng.standard_normal(shape))


def adam_by_the_paper(
    theta: Array, gradients: list[Array], lr: float, beta1: float, beta2: float, epsilon: float
) -> Array:
    """Algorithm 1 line by line, with epsilon-hat of section 2 in the place of epsilon."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + epsilon / np.sqrt(1 - beta2**t))
    return theta


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


@pytest.mark.parametrize(
    ("lr", "beta1", "beta2", "epsilon"), [(1e-3, 0.9, 0.999, 1e-8), (0.5, 0.6, 0.7, 0.1)]
)
def test_adam_is_the_paper_s_algorithm_for_several_steps(
    lr: float, beta1: float, beta2: float, epsilon: float, rng: np.random.Generator
) -> None:
    layer = linear(rng)
    starts = [parameter.copy() for parameter in layer.parameters]
    steps = [[rng.standard_normal(p.shape) for p in layer.parameters] for _ in range(7)]
    optimizer = Adam(lr, beta1, beta2, epsilon)
    for count in range(1, len(steps) + 1):
        optimizer.step({layer: steps[count - 1]})
        for which, start in enumerate(starts):
            gradients = [step[which] for step in steps[:count]]
            expected = adam_by_the_paper(start, gradients, lr, beta1, beta2, epsilon)
            np.testing.assert_allclose(layer.parameters[which], expected, rtol=1e-12)
    assert optimizer.steps == len(steps)


def test_adam_has_the_paper_s_defaults() -> None:
    optimizer = Adam()
    settings = (optimizer.lr, optimizer.beta1, optimizer.beta2, optimizer.epsilon)
    assert settings == (1e-3, 0.9, 0.999, 1e-8)


def test_the_first_step_of_adam_is_the_rate_against_the_sign_of_each_gradient(
    rng: np.random.Generator,
) -> None:
    layer = linear(rng)
    before = layer.w.copy()
    gradient = np.array([[1e-3, 1, 1e3], [-1e-3, -1, -1e3]])
    Adam(0.01).step({layer: [gradient, np.zeros((2, 1))]})
    np.testing.assert_allclose(layer.w - before, -0.01 * np.sign(gradient), rtol=1e-3)


def test_adam_keeps_the_moments_of_each_node_apart(rng: np.random.Generator) -> None:
    together, alone = Adam(0.1), Adam(0.1)
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


def test_adam_follows_a_rate_that_changes(rng: np.random.Generator) -> None:
    layer, optimizer = linear(rng), Adam(0.1)
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
