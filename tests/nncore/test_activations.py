"""ReLU and softmax: values, extreme logits, dtypes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import ReLU, Softmax, softmax
from nncore.types import Array
from tests.nncore.strategies import batches, features, seeds

HUGE = 1e4
EXTREME_LOGITS = [
    [[HUGE], [-HUGE]],
    [[-HUGE], [-HUGE]],
    [[HUGE], [HUGE]],
    [[HUGE, 0, -HUGE], [-HUGE, 1, HUGE], [0, -HUGE, HUGE]],
]

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def random_logits(classes: int, batch: int, seed: int) -> Array:
    return 5 * np.random.default_rng(seed).standard_normal((classes, batch))


def test_relu_sets_negative_values_to_0_in_a_copy() -> None:
    x = np.array([[-2.0, 0.0], [3.0, -0.5]])
    before = x.copy()
    np.testing.assert_array_equal(ReLU()(x), [[0, 0], [3, 0]])
    np.testing.assert_array_equal(x, before)


def test_relu_passes_the_gradient_where_its_input_is_positive() -> None:
    relu = ReLU()
    relu(np.array([[-2.0, 0.0], [3.0, 0.5]]))
    relu.backwards(np.array([[10.0, 20.0], [30.0, -40.0]]))
    np.testing.assert_array_equal(relu.input_grad, [[0, 0], [30, -40]])


def test_softmax_by_hand() -> None:
    logits = np.log([[1.0, 2.0], [3.0, 2.0], [4.0, 4.0]])
    expected = [[0.125, 0.25], [0.375, 0.25], [0.5, 0.5]]
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-15)
    np.testing.assert_allclose(Softmax()(logits), expected, rtol=1e-15)


@given(classes=features, batch=batches, seed=seeds, shift=st.floats(-1e3, 1e3))
def test_softmax_does_not_change_when_a_constant_is_added_to_a_column(
    classes: int, batch: int, seed: int, shift: float
) -> None:
    logits = random_logits(classes, batch, seed)
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
    np.testing.assert_allclose(probabilities.sum(axis=0), np.ones(x.shape[1]), rtol=1e-6)
    for backwards in (node.backwards1, node.backwards2):
        backwards(np.ones_like(x))
        assert np.isfinite(node.input_grad).all()


@both_dtypes
@pytest.mark.parametrize("node", [ReLU(), Softmax()])
def test_dtype_is_kept(node: ReLU | Softmax, dtype: type[np.floating]) -> None:
    x = np.array([[1, -2], [3, 4]], dtype)
    assert node(x).dtype == dtype
    node.backwards(np.ones_like(x))
    assert node.input_grad.dtype == dtype
