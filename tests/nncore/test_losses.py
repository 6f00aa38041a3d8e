"""The losses: values, the fused node against the two it replaces, extreme logits, dtypes."""

import numpy as np
import pytest
from hypothesis import given

from nncore import (
    MSE,
    Loss,
    NLLLoss,
    Softmax,
    SoftmaxCrossEntropy,
    back_propagate,
    make_sequential,
)
from nncore.types import Array
from tests.nncore.strategies import batches, features, seeds
from tests.nncore.test_activations import EXTREME_LOGITS, HUGE, both_dtypes


def separate_nodes(logits: Array, targets: Array) -> tuple[float, Array]:
    softmax, loss = Softmax(), NLLLoss()
    value = loss(softmax(logits), targets)
    back_propagate(make_sequential([softmax, loss]))
    return value, softmax.input_grad


def fused_node(logits: Array, targets: Array) -> tuple[float, Array]:
    loss = SoftmaxCrossEntropy()
    value = loss(logits, targets)
    back_propagate([loss])
    return value, loss.input_grad


def test_values_by_hand() -> None:
    assert MSE()(np.array([[1.0, 2.0]]), np.array([[4.0, 0.0]])) == 6.5
    probabilities = np.array([[0.25, 0.5], [0.75, 0.5]])
    assert NLLLoss()(probabilities, np.array([0, 1])) == pytest.approx(np.log(8), rel=1e-15)
    cross_entropy = SoftmaxCrossEntropy()(np.full((5, 3), 7.0), np.array([0, 4, 2]))
    assert cross_entropy == pytest.approx(3 * np.log(5))


@pytest.mark.parametrize("loss", [NLLLoss(), SoftmaxCrossEntropy()], ids=repr)
def test_labels_and_one_hot_targets_are_equivalent_and_the_loss_is_a_sum_over_the_batch(
    loss: Loss, rng: np.random.Generator
) -> None:
    x, labels = rng.dirichlet(np.ones(3), size=4).T, np.array([2, 0, 2, 1])
    one_hot = np.array([[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]])
    expected = loss(x, labels)
    assert loss(x, one_hot) == loss(x, one_hot.astype(float)) == pytest.approx(expected, rel=1e-14)
    of_parts = loss.apply(x[:, :1], labels[:1]) + loss.apply(x[:, 1:], labels[1:])
    assert of_parts == pytest.approx(expected, rel=1e-14)


@given(classes=features, batch=batches, seed=seeds)
def test_the_fused_node_equals_the_separate_nodes(classes: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = 20 * rng.standard_normal((classes, batch)), rng.random((classes, batch))
    got, expected = fused_node(logits, targets), separate_nodes(logits, targets)
    assert got[0] == pytest.approx(expected[0], rel=1e-12, abs=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-9, atol=1e-13)


@both_dtypes
@pytest.mark.parametrize("logits", EXTREME_LOGITS)
def test_loss_and_gradient_are_finite_for_extreme_logits(
    dtype: type[np.floating], logits: list[list[float]]
) -> None:
    x = np.array(logits, dtype)
    for label in (0, 1):
        labels = np.full(x.shape[1], label)
        for loss, gradient in (fused_node(x, labels), separate_nodes(x, labels)):
            assert np.isfinite(loss)
            assert np.isfinite(gradient).all()


@both_dtypes
def test_the_fused_node_is_exact_and_nll_clipped_for_extreme_logits(
    dtype: type[np.floating],
) -> None:
    logits, targets = np.array([[HUGE, HUGE], [-HUGE, -HUGE]], dtype), np.array([1, 0])
    loss, gradient = fused_node(logits, targets)
    assert loss == 2 * HUGE
    np.testing.assert_array_equal(gradient, [[1, 0], [-1, 0]])
    clipped, _ = separate_nodes(logits, targets)
    assert clipped == pytest.approx(-np.log(float(np.finfo(dtype).tiny)))


@both_dtypes
@pytest.mark.parametrize("loss", [MSE(), NLLLoss(), SoftmaxCrossEntropy()], ids=repr)
def test_the_dtype_is_that_of_the_input_and_apply_records_nothing(
    loss: Loss, dtype: type[np.floating]
) -> None:
    x, t, fresh = np.full((2, 2), 0.5, dtype), np.eye(2), type(loss)()
    value = loss(x, t)
    loss.backwards()
    assert [value.dtype, loss.input_grad.dtype] == [dtype] * 2
    assert fresh.apply(x, t) == value
    assert [fresh.x, fresh.ans, fresh.t, fresh.input_grad] == [None] * 4


@pytest.mark.parametrize("loss", [MSE(), NLLLoss(), SoftmaxCrossEntropy()], ids=repr)
@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 1), (3, 2, 1)])
def test_targets_of_another_shape_are_rejected(loss: Loss, shape: tuple[int, ...]) -> None:
    for compute in (loss.forward, loss.apply):
        with pytest.raises(ValueError, match=r"expected targets of shape \(3, 2\)") as error:
            compute(np.full((3, 2), 0.5), np.zeros(shape, int))
        assert str(error.value).endswith(f"got {shape}")
