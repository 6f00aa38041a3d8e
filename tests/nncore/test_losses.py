"""The losses: values by hand, the fused node against the two it replaces, and extremes."""

import numpy as np
import pytest
from hypothesis import given

from nncore import (
    MSE,
    ClassificationLoss,
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

both_losses = pytest.mark.parametrize("loss", [NLLLoss(), SoftmaxCrossEntropy()], ids=repr)


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


def test_mse_is_half_the_sum_of_squares() -> None:
    mse = MSE()
    assert mse(np.array([[1.0, 2.0]]), np.array([[4.0, 0.0]])) == 6.5
    mse.backwards()
    np.testing.assert_array_equal(mse.input_grad, [[-3, 2]])


@pytest.mark.parametrize("shape", [(3, 1), (3,), (1, 4), ()])
def test_mse_rejects_targets_of_another_shape(shape: tuple[int, ...]) -> None:
    for compute in (MSE().forward, MSE().apply):
        with pytest.raises(ValueError, match="expected targets") as error:
            compute(np.ones((1, 3)), np.ones(shape))
        assert str(error.value) == f"expected targets of shape (1, 3), got {shape}"


def test_mse_takes_targets_in_the_precision_of_the_answers() -> None:
    mse = MSE()
    loss = mse(np.ones((2, 3), np.float32), np.zeros((2, 3)))
    mse.backwards()
    assert (loss.dtype, mse.input_grad.dtype) == (np.float32, np.float32)


def test_nll_is_the_negative_log_of_the_probability_of_each_label() -> None:
    probabilities = np.array([[0.25, 0.5], [0.75, 0.5]])
    assert NLLLoss()(probabilities, np.array([0, 1])) == pytest.approx(np.log(8), rel=1e-15)


def test_nll_gradient_is_minus_the_target_over_the_probability() -> None:
    loss = NLLLoss()
    loss(np.array([[0.25, 0.5], [0.75, 0.5]]), np.array([0, 1]))
    loss.backwards()
    np.testing.assert_array_equal(loss.input_grad, [[-4, 0], [0, -2]])


def test_cross_entropy_of_equal_logits_is_the_log_of_the_number_of_classes() -> None:
    loss = SoftmaxCrossEntropy()
    assert loss(np.full((5, 3), 7.0), np.array([0, 4, 2])) == pytest.approx(3 * np.log(5))
    loss.backwards()
    expected = np.full((5, 3), 0.2)
    expected[[0, 4, 2], [0, 1, 2]] = -0.8
    np.testing.assert_allclose(loss.input_grad, expected, rtol=1e-14)


@both_losses
def test_labels_and_one_hot_targets_and_integer_one_hot_targets_are_one(
    loss: ClassificationLoss, rng: np.random.Generator
) -> None:
    x = rng.dirichlet(np.ones(3), size=4).T
    one_hot = np.array([[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]])
    expected = loss(x, np.array([2, 0, 2, 1]))
    assert loss(x, one_hot) == expected
    assert loss(x, one_hot.astype(float)) == expected


@both_losses
def test_soft_targets_weigh_the_losses_of_the_labels(
    loss: ClassificationLoss, rng: np.random.Generator
) -> None:
    x = rng.dirichlet(np.ones(2), size=1).T
    of_labels = [loss.apply(x, np.array([label])) for label in (0, 1)]
    mixed = loss.apply(x, np.array([[0.3], [0.7]]))
    assert mixed == pytest.approx(0.3 * of_labels[0] + 0.7 * of_labels[1], rel=1e-14)


@both_losses
def test_loss_is_summed_over_the_batch(loss: ClassificationLoss, rng: np.random.Generator) -> None:
    x, t = rng.dirichlet(np.ones(3), size=5).T, np.array([0, 1, 2, 1, 0])
    of_parts = loss.apply(x[:, :2], t[:2]) + loss.apply(x[:, 2:], t[2:])
    assert loss.apply(x, t) == pytest.approx(of_parts, rel=1e-14)


@pytest.mark.parametrize(
    ("loss", "t"),
    [
        (MSE(), np.array([[1.0, 0.0], [0.0, 1.0]])),
        (NLLLoss(), np.array([0, 1])),
        (SoftmaxCrossEntropy(), np.array([0, 1])),
    ],
    ids=str,
)
def test_upstream_gradient_scales_the_gradient(loss: Loss, t: Array) -> None:
    loss(np.array([[0.25, 0.5], [0.75, 0.5]]), t)
    loss.backwards()
    plain = loss.input_grad
    loss.backwards(-0.5)
    np.testing.assert_allclose(loss.input_grad, -0.5 * plain, rtol=1e-15)


@given(classes=features, batch=batches, seed=seeds)
def test_fused_node_is_the_two_separate_nodes_for_labels(
    classes: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = 20 * rng.standard_normal((classes, batch)), rng.integers(classes, size=batch)
    assert_same(fused_node(logits, labels), separate_nodes(logits, labels))


@given(classes=features, batch=batches, seed=seeds)
def test_fused_node_is_the_two_separate_nodes_for_weights_that_do_not_sum_to_1(
    classes: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = 20 * rng.standard_normal((classes, batch)), rng.random((classes, batch))
    assert_same(fused_node(logits, targets), separate_nodes(logits, targets))


def assert_same(got: tuple[float, Array], expected: tuple[float, Array]) -> None:
    assert got[0] == pytest.approx(expected[0], rel=1e-12, abs=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-9, atol=1e-13)


def test_fused_node_is_the_two_separate_nodes_in_single_precision(
    rng: np.random.Generator,
) -> None:
    logits, labels = rng.standard_normal((5, 8), np.float32), rng.integers(5, size=8)
    fused, separate = fused_node(logits, labels), separate_nodes(logits, labels)
    assert fused[0] == pytest.approx(separate[0], rel=1e-6)
    np.testing.assert_allclose(fused[1], separate[1], rtol=1e-5, atol=1e-7)


@both_dtypes
@pytest.mark.parametrize("logits", EXTREME_LOGITS)
@pytest.mark.parametrize("label", [0, 1])
def test_loss_and_gradient_are_finite_for_extreme_logits(
    dtype: type[np.floating], logits: list[list[float]], label: int
) -> None:
    x = np.array(logits, dtype)
    labels = np.full(x.shape[1], label)
    for loss, gradient in (fused_node(x, labels), separate_nodes(x, labels)):
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()


@both_dtypes
def test_fused_node_is_exact_for_extreme_logits(dtype: type[np.floating]) -> None:
    logits = np.array([[HUGE, HUGE], [-HUGE, -HUGE]], dtype)
    loss, gradient = fused_node(logits, np.array([1, 0]))
    assert loss == 2 * HUGE
    np.testing.assert_array_equal(gradient, [[1, 0], [-1, 0]])


@both_dtypes
def test_nll_counts_a_smaller_probability_as_the_smallest_normal_number(
    dtype: type[np.floating],
) -> None:
    loss = NLLLoss()
    value = loss(np.array([[0], [1]], dtype), np.array([0]))
    assert value == pytest.approx(-np.log(np.finfo(dtype).tiny), rel=1e-6)
    loss.backwards()
    assert np.isfinite(loss.input_grad).all()
    assert loss.input_grad[0, 0] == pytest.approx(-1 / float(np.finfo(dtype).tiny), rel=1e-6)


@both_dtypes
@both_losses
@pytest.mark.parametrize("t", [np.array([0, 1]), np.eye(2), np.eye(2, dtype=int)], ids=str)
def test_dtype_is_kept_whatever_the_dtype_of_the_targets(
    loss: ClassificationLoss, t: Array, dtype: type[np.floating]
) -> None:
    value = loss(np.full((2, 2), 0.5, dtype), t)
    loss.backwards()
    assert [value.dtype, loss.t.dtype, loss.input_grad.dtype] == [dtype] * 3


def test_mse_keeps_single_precision() -> None:
    mse, ones = MSE(), np.ones((2, 3), np.float32)
    value = mse(ones, ones)
    mse.backwards()
    assert [value.dtype, mse.input_grad.dtype] == [np.float32] * 2


@both_losses
@pytest.mark.parametrize("t", [np.array([0, 1]), np.eye(2)], ids=str)
def test_apply_gives_the_same_and_records_nothing(loss: ClassificationLoss, t: Array) -> None:
    fresh, x = type(loss)(), np.array([[0.25, 0.5], [0.75, 0.5]])
    assert fresh.apply(x, t) == loss(x, t)
    assert [fresh.x, fresh.ans, fresh.t, fresh.input_grad] == [None] * 4


@both_losses
def test_label_outside_the_classes_is_an_error(loss: ClassificationLoss) -> None:
    with pytest.raises(ValueError, match=r"expected labels in 0\.\.2, got 3 at index 1"):
        loss(np.full((3, 2), 0.5), np.array([0, 3]))


@both_losses
def test_labels_that_are_not_integers_are_an_error(loss: ClassificationLoss) -> None:
    with pytest.raises(TypeError, match="expected integer labels, got float64"):
        loss(np.full((3, 2), 0.5), np.array([0.0, 1.0]))


@both_losses
@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 1), (3, 2, 1)])
def test_targets_of_another_shape_are_an_error_that_says_both(
    loss: ClassificationLoss, shape: tuple[int, ...]
) -> None:
    expected = f"expected targets of shape (3, 2) or (2,), got {shape}"
    with pytest.raises(ValueError, match="expected targets") as error:
        loss(np.full((3, 2), 0.5), np.zeros(shape, int))
    assert str(error.value) == expected


def test_losses_say_whether_they_take_logits() -> None:
    assert SoftmaxCrossEntropy.takes_logits
    assert not NLLLoss.takes_logits
