"""ReLU and softmax: values, extreme logits, dtypes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import ReLU, Softmax, softmax
from tests.nncore.strategies import batches, features, seeds

HUGE = 1e4
EXTREME_LOGITS = [
    [[HUGE], [-HUGE]],
    [[-HUGE], [-HUGE]],
    [[HUGE, 0, -HUGE], [-HUGE, 1, HUGE], [0, -HUGE, HUGE]],
]

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def test_relu_and_its_gradient_are_0_where_the_input_is_not_positive() -> None:
    relu, x = ReLU(), np.array([[-2.0, 0.0], [3.0, 0.5]])
    np.testing.assert_array_equal(relu(x), [[0, 0], [3, 0.5]])
    relu.backwards(np.array([[10.0, 20.0], [30.0, -40.0]]))
    np.testing.assert_array_equal(relu.input_grad, [[0, 0], [30, -40]])
    np.testing.assert_array_equal(x, [[-2, 0], [3, 0.5]])


def test_softmax_by_hand() -> None:
    logits = np.log([[1.0, 2.0], [3.0, 2.0], [4.0, 4.0]])
    expected = [[0.125, 0.25], [0.375, 0.25], [0.5, 0.5]]
    np.testing.assert_allclose(Softmax()(logits), expected, rtol=1e-15)


@given(classes=features, batch=batches, seed=seeds, shift=st.floats(-1e3, 1e3))
def test_softmax_does_not_change_when_a_constant_is_added_to_a_column(
    classes: int, batch: int, seed: int, shift: float
) -> None:
    logits = 5 * np.random.default_rng(seed).standard_normal((classes, batch))
    shifts = shift * np.arange(batch)
    np.testing.assert_allclose(softmax(logits + shifts), softmax(logits), rtol=1e-10)


@both_dtypes
@pytest.mark.parametrize("logits", EXTREME_LOGITS)
def test_softmax_and_its_gradients_are_finite_for_extreme_logits(
    dtype: type[np.floating], logits: list[list[float]]
) -> None:
    node = Softmax()
    x = np.array(logits, dtype)
    probabilities = node(x)
    assert probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities.sum(axis=0), np.ones(x.shape[1]), rtol=1e-6)
    for backwards in (node.backwards1, node.backwards2):
        backwards(np.ones_like(x))
        assert np.isfinite(node.input_grad).all()
        assert node.input_grad.dtype == dtype
