"""The gradients of each node and of whole models against central differences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings

from nncore import (
    MSE,
    DistillationLoss,
    FCModel,
    LinearLayer,
    Loss,
    NLLLoss,
    Node,
    ReLU,
    Softmax,
    SoftmaxCrossEntropy,
    back_propagate,
    one_hot_encode,
)
from nncore.types import Array
from tests.nncore.gradient_check import check_model, check_node
from tests.nncore.strategies import (
    batches,
    features,
    hidden_sizes,
    image_shapes,
    seeds,
)

AWAY_FROM_KINK = 1e-3
SMALLEST_PROBABILITY = 0.05

Generator = np.random.Generator
TargetMaker = Callable[[Generator, int, int], Array]


def labels(rng: Generator, classes: int, batch: int) -> Array:
    return rng.integers(classes, size=batch)


def one_hot_targets(rng: Generator, classes: int, batch: int) -> Array:
    return one_hot_encode(labels(rng, classes, batch), num_classes=classes)


def soft_targets(rng: Generator, classes: int, batch: int) -> Array:
    return rng.dirichlet(np.ones(classes), size=batch).T


def weighted_targets(rng: Generator, classes: int, batch: int) -> Array:
    return rng.uniform(0, 2, size=(classes, batch))


every_kind_of_target = pytest.mark.parametrize(
    "make_targets", [labels, one_hot_targets, soft_targets, weighted_targets]
)


@pytest.mark.parametrize("bias", [True, False])
@given(inputs=features, outputs=features, batch=batches, seed=seeds)
def test_linear_layer(bias: bool, inputs: int, outputs: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = LinearLayer(inputs, outputs, bias, lambda *shape: rng.standard_normal(shape))
    check_node(layer, rng.standard_normal((inputs, batch)), rng=rng)


@given(size=features, batch=batches, seed=seeds)
def test_relu_away_from_its_kink(size: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((size, batch))
    check_node(ReLU(), x + np.copysign(AWAY_FROM_KINK, x), rng=rng)


@given(classes=features, batch=batches, seed=seeds)
def test_softmax(classes: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_node(Softmax(), rng.standard_normal((classes, batch)), rng=rng)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (1, 4), (4, 1), (5, 5), (10, 7)])
def test_both_softmax_gradients_agree_with_each_other_and_with_central_differences(
    shape: tuple[int, int], rng: Generator
) -> None:
    softmax = Softmax()
    x, upstream = rng.standard_normal((2, *shape))
    check_node(softmax, x, rng=rng, backwards=softmax.backwards1)
    check_node(softmax, x, rng=rng, backwards=softmax.backwards2)
    softmax.backwards1(upstream)
    by_jacobian = softmax.input_grad
    softmax.backwards2(upstream)
    np.testing.assert_allclose(softmax.input_grad, by_jacobian, rtol=1e-12, atol=1e-15)


@given(size=features, batch=batches, seed=seeds)
def test_mse(size: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((2, size, batch))
    check_node(MSE(), x, t, rng=rng)


@every_kind_of_target
@given(classes=features, batch=batches, seed=seeds)
def test_nll_loss_of_probabilities(
    make_targets: TargetMaker, classes: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(SMALLEST_PROBABILITY, 1, size=(classes, batch))
    check_node(NLLLoss(), x, make_targets(rng, classes, batch), rng=rng)


@given(classes=features, batch=batches, seed=seeds)
def test_distillation_loss_of_logits(classes: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, q = 3 * rng.standard_normal((classes, batch)), soft_targets(rng, classes, batch)
    loss = DistillationLoss(temperature=rng.uniform(0.5, 4), teacher_weight=rng.random())
    check_node(loss, x, labels(rng, classes, batch), q, rng=rng)


@every_kind_of_target
@given(classes=features, batch=batches, seed=seeds)
def test_softmax_cross_entropy_of_logits(
    make_targets: TargetMaker, classes: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = 3 * rng.standard_normal((classes, batch))
    check_node(SoftmaxCrossEntropy(), x, make_targets(rng, classes, batch), rng=rng)


def near_a_kink(model: FCModel, images: Array) -> bool:
    model.forward(images)
    at_relus = [np.abs(node.x).min() for node in model.layers if isinstance(node, ReLU)]
    return bool(at_relus) and min(at_relus) < AWAY_FROM_KINK


@every_kind_of_target
@pytest.mark.parametrize("loss", [NLLLoss, SoftmaxCrossEntropy])
@settings(max_examples=12)
@given(shape=image_shapes, hidden=hidden_sizes, classes=features, batch=batches, seed=seeds)
def test_whole_model(
    loss: type[Loss],
    make_targets: TargetMaker,
    shape: tuple[int, ...],
    hidden: Sequence[int],
    classes: int,
    batch: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    model = FCModel(shape, hidden, classes, loss=loss(), rng=rng, dtype=np.float64)
    images = rng.random((batch, *shape))
    assume(not near_a_kink(model, images))
    check_model(model, images, make_targets(rng, classes, batch), rng)


def test_parameter_gradients_do_not_depend_on_needs_input_grad(
    rng: Generator,
) -> None:
    images, targets = rng.random((6, 3, 4)), labels(rng, 3, 6)
    gradients = []
    for needs_input_grad in (True, False):
        model = FCModel(
            (3, 4), (5, 4), 3, rng=np.random.default_rng(0), needs_input_grad=needs_input_grad
        )
        model.loss(model.forward(images), targets)
        gradients.append([g for gs in back_propagate(model.topsorted).values() for g in gs])
        assert (model.layers[0].input_grad is not None) == needs_input_grad
    assert len(gradients[0]) == 6
    for got, expected in zip(*gradients, strict=True):
        np.testing.assert_array_equal(got, expected)


class DeafReLU(ReLU):
    """Ignores the upstream gradient, as the notebook's ReLU did."""

    def backwards(self, g: Any) -> None:
        self.input_grad = (self.x > 0) * self.ans


class MeanBiasLayer(LinearLayer):
    """Averages the bias gradient over the batch instead of summing it."""

    def backwards(self, g: Any) -> list[Array]:
        weight_gradient, bias_gradient = super().backwards(g)
        return [weight_gradient, bias_gradient / g.shape[1]]


class LastEntryWrong(Softmax):
    """Changes only the last entry."""

    def backwards(self, g: Any) -> None:
        super().backwards(g)
        self.input_grad[-1, -1] += 1e-4


@pytest.mark.parametrize(
    ("node", "entry"),
    [
        (DeafReLU(), r"DeafReLU\(\): gradient of input\[0, 0\]"),
        (MeanBiasLayer(3, 2, bias=True), r"gradient of bias\[0, 0\]"),
        (LastEntryWrong(), r"gradient of input\[2, 3\]"),
    ],
    ids=repr,
)
def test_the_check_names_a_wrong_entry(node: Node, entry: str, rng: Generator) -> None:
    with pytest.raises(AssertionError, match=f"{entry}: expected .*, got .*"):
        check_node(node, 1 + rng.random((3, 4)), rng=rng)


def test_the_model_check_names_a_wrong_layer(rng: Generator) -> None:
    model = FCModel((3, 4), (5, 4), 3, rng=rng, dtype=np.float64)
    layer = model.layers[0]
    assert isinstance(layer, LinearLayer)
    backwards = layer.backwards
    layer.backwards = lambda g: [2 * gradient for gradient in backwards(g)]  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match=r"linear layer 0: gradient of weight\[0, 0\]"):
        check_model(model, rng.random((6, 3, 4)), labels(rng, 3, 6), rng)
