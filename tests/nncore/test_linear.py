"""The linear layer: its output, its parameters, their initialization, and skipping zeros."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import randn

from nncore import LinearLayer, kaiming_init


def random_layer(inputs: int, outputs: int, rng: np.random.Generator) -> LinearLayer:
    return LinearLayer(inputs, outputs, bias=True, init_func=lambda *n: rng.standard_normal(n))


def test_the_output_is_w_x_plus_b_of_the_current_parameters(rng: np.random.Generator) -> None:
    layer = random_layer(3, 2, rng)
    layer.w = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    layer.b = np.array([[10.0], [20.0]])
    x = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    np.testing.assert_array_equal(layer(x), [[16, 16], [20, 22]])
    assert [id(p) for p in layer.parameters] == [id(layer.w), id(layer.b)]
    layer.b = None
    np.testing.assert_array_equal(layer(x), [[6, 6], [0, 2]])
    assert len(layer.backwards(np.ones((2, 2)))) == 1
    assert {*layer.state_dict()} == {"weight"}


def test_kaiming_init_is_in_place_and_sets_the_bias_to_0(rng: np.random.Generator) -> None:
    layer = random_layer(3, 2, rng)
    w, b = layer.w, layer.b
    layer.kaiming_init(np.random.default_rng(1))
    assert (layer.w is w, layer.b is b) == (True, True)
    np.testing.assert_array_equal(w, kaiming_init(2, 3, rng=np.random.default_rng(1)))
    np.testing.assert_array_equal(b, np.zeros((2, 1)))


def test_kaiming_weights_have_mean_0_and_variance_2_over_fan_in(rng: np.random.Generator) -> None:
    weights = kaiming_init(60, 2000, rng=rng)
    deviation = np.sqrt(2 / 2000)
    assert abs(weights.mean()) < 4 * deviation / np.sqrt(weights.size)
    assert weights.std() == pytest.approx(deviation, rel=0.01)


def test_the_default_source_of_weights_is_the_global_generator(
    seed_numpy: Callable[[int], None],
) -> None:
    seed_numpy(3)
    expected = randn(4, 5)  # noqa: NPY002
    seed_numpy(3)
    np.testing.assert_array_equal(LinearLayer(5, 4).w, expected)
    seed_numpy(3)
    kaiming_init(4, 5, rng=np.random.default_rng(8))  # leaves the global generator alone
    layer = LinearLayer(5, 4, init_func=kaiming_init)
    np.testing.assert_array_equal(layer.w, expected * np.sqrt(2 / 5))


@pytest.mark.parametrize("batch", [1, 17])
@pytest.mark.parametrize("zeros", [0.0, 0.8, 1.0])
def test_a_frozen_layer_has_the_same_output_and_gradient_and_its_own_parameters(
    rng: np.random.Generator, batch: int, zeros: float
) -> None:
    layer = random_layer(300, 400, rng)
    x, g = rng.standard_normal((300, batch)), rng.standard_normal((400, batch))
    x[rng.random(300) < zeros] = 0
    expected, frozen = layer(x), layer.freeze()
    layer.backwards(g)
    for parameter in layer.parameters:
        parameter[...] = 0
    np.testing.assert_allclose(frozen(x), expected, rtol=1e-12, atol=1e-12)
    frozen.backwards(g)
    np.testing.assert_allclose(frozen.input_grad, layer.input_grad, rtol=1e-12)


def test_nan_is_not_skipped(rng: np.random.Generator) -> None:
    x = np.zeros((300, 1))
    x[1] = np.nan
    assert np.isnan(random_layer(300, 400, rng).freeze().apply(x)).all()
