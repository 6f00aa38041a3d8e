"""The linear layer: its answer, its parameters, and how its weights start."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import randn

from nncore import LinearLayer, kaiming_init
from nncore.types import Array


@pytest.fixture
def layer(rng: np.random.Generator) -> LinearLayer:
    return LinearLayer(3, 2, bias=True, init_func=lambda *shape: rng.standard_normal(shape))


def test_answer_is_w_x_plus_b_for_each_column(layer: LinearLayer) -> None:
    layer.w = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    layer.b = np.array([[10.0], [20.0]])
    x = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    np.testing.assert_array_equal(layer(x), [[16, 16], [20, 22]])


def test_without_bias_the_only_parameter_is_the_weight() -> None:
    layer = LinearLayer(3, 2)
    assert layer.b is None
    assert [id(p) for p in layer.parameters] == [id(layer.w)]
    np.testing.assert_array_equal(layer(np.eye(3)), layer.w)
    assert len(layer.backwards(np.ones((2, 3)))) == 1


def test_init_func_draws_the_weight_and_then_the_bias() -> None:
    shapes = []

    def init(rows: int, columns: int) -> Array:
        shapes.append((rows, columns))
        return np.full((rows, columns), float(len(shapes)))

    layer = LinearLayer(3, 2, bias=True, init_func=init)
    assert shapes == [(2, 3), (2, 1)]
    np.testing.assert_array_equal(layer.w, np.full((2, 3), 1.0))
    np.testing.assert_array_equal(layer.b, np.full((2, 1), 2.0))


def test_by_default_weight_and_bias_are_standard_normal_from_the_global_generator(
    seed_numpy: Callable[[int], None],
) -> None:
    seed_numpy(7)
    layer = LinearLayer(3, 2, bias=True)
    seed_numpy(7)
    np.testing.assert_array_equal(layer.w, randn(2, 3))  # noqa: NPY002
    np.testing.assert_array_equal(layer.b, randn(2, 1))  # noqa: NPY002


def test_parameters_are_the_attributes_themselves(layer: LinearLayer) -> None:
    assert [id(p) for p in layer.parameters] == [id(layer.w), id(layer.b)]


def test_parameters_follow_an_attribute_that_is_bound_anew(layer: LinearLayer) -> None:
    layer.w = np.zeros((2, 3))
    layer.b = np.ones((2, 1))
    assert [id(p) for p in layer.parameters] == [id(layer.w), id(layer.b)]
    layer.b = None
    assert [id(p) for p in layer.parameters] == [id(layer.w)]


def test_apply_changes_neither_input_nor_parameters(layer: LinearLayer) -> None:
    assert layer.b is not None
    x = np.ones((3, 4))
    before = [array.copy() for array in (x, layer.w, layer.b)]
    layer.apply(x)
    layer.apply(x)
    for array, expected in zip((x, layer.w, layer.b), before, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_gradients_by_hand(layer: LinearLayer) -> None:
    layer.w = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    layer(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    w_grad, b_grad = layer.backwards(np.array([[1.0, 10.0], [100.0, 0.0]]))
    np.testing.assert_array_equal(w_grad, [[21, 43, 65], [100, 300, 500]])
    np.testing.assert_array_equal(b_grad, [[11], [100]])
    np.testing.assert_array_equal(layer.input_grad, [[1, 10], [-98, 20], [103, 30]])


def test_gradients_are_replaced_and_not_accumulated(layer: LinearLayer) -> None:
    layer(np.ones((3, 4)))
    first = [gradient.copy() for gradient in layer.backwards(np.ones((2, 4)))]
    first_input_grad = layer.input_grad.copy()
    second = layer.backwards(np.ones((2, 4)))
    for got, expected in zip(second, first, strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(layer.input_grad, first_input_grad)


def test_input_gradient_is_spared_where_it_is_not_needed(layer: LinearLayer) -> None:
    layer(np.ones((3, 4)))
    layer.backwards(np.ones((2, 4)))
    assert layer.input_grad.shape == (3, 4)
    layer.needs_input_grad = False
    layer.backwards(np.ones((2, 4)))
    assert layer.input_grad is None


def test_input_of_another_size_is_an_error_with_both_sizes(layer: LinearLayer) -> None:
    with pytest.raises(ValueError, match="size 4 is different from 3"):
        layer(np.ones((4, 2)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_of_the_parameters_is_kept(dtype: type[np.floating]) -> None:
    layer = LinearLayer(3, 2, bias=True, init_func=lambda *shape: np.ones(shape, dtype))
    layer.kaiming_init(np.random.default_rng(0))
    answer = layer(np.ones((3, 4), dtype))
    gradients = layer.backwards(np.ones((2, 4), dtype))
    arrays = [answer, *gradients, layer.input_grad, *layer.parameters]
    assert [array.dtype for array in arrays] == [dtype] * 6


def test_state_dict_has_the_names_and_shapes_of_torch_linear(layer: LinearLayer) -> None:
    shapes = {name: value.shape for name, value in layer.state_dict().items()}
    assert shapes == {"weight": (2, 3), "bias": (2,)}
    assert {*LinearLayer(3, 2).state_dict()} == {"weight"}


def test_state_dict_gives_views(layer: LinearLayer) -> None:
    assert layer.b is not None
    state = layer.state_dict()
    state["weight"][1, 2] = 42
    state["bias"][1] = 43
    assert (layer.w[1, 2], layer.b[1, 0]) == (42, 43)


def test_layer_prints_its_sizes(layer: LinearLayer) -> None:
    assert repr(layer) == "LinearLayer(3, 2, bias=True)"


def test_kaiming_init_of_a_layer_is_in_place_and_zeroes_the_bias(layer: LinearLayer) -> None:
    w, b = layer.w, layer.b
    assert b is not None
    before = w.copy()
    layer.kaiming_init(np.random.default_rng(1))
    assert layer.w is w
    assert layer.b is b
    assert (w != before).all()
    np.testing.assert_array_equal(b, np.zeros((2, 1)))


def test_kaiming_init_of_a_layer_draws_what_the_function_draws(layer: LinearLayer) -> None:
    layer.kaiming_init(np.random.default_rng(1))
    np.testing.assert_array_equal(layer.w, kaiming_init(2, 3, rng=np.random.default_rng(1)))


def test_kaiming_init_leaves_a_layer_without_bias_without_one() -> None:
    layer = LinearLayer(3, 2)
    layer.kaiming_init(np.random.default_rng(1))
    assert layer.b is None


@pytest.mark.parametrize(("rows", "columns"), [(400, 300), (1000, 100), (60, 2000)])
def test_kaiming_weights_have_mean_0_and_variance_2_over_fan_in(
    rows: int, columns: int, rng: np.random.Generator
) -> None:
    weights = kaiming_init(rows, columns, rng=rng)
    deviation = np.sqrt(2 / columns)
    assert weights.shape == (rows, columns)
    assert abs(weights.mean()) < 4 * deviation / np.sqrt(weights.size)
    assert weights.std() == pytest.approx(deviation, rel=0.01)


def test_kaiming_weights_keep_the_mean_square_through_relu_layers(
    rng: np.random.Generator,
) -> None:
    x = rng.standard_normal((500, 100))
    before = np.mean(x**2)
    for _ in range(5):
        x = kaiming_init(500, 500, rng=rng) @ np.maximum(x, 0)
    assert 1 / 2 < np.mean(x**2) / before < 2


def test_kaiming_init_draws_from_the_global_generator_by_default(
    seed_numpy: Callable[[int], None],
) -> None:
    seed_numpy(3)
    weights = kaiming_init(4, 5)
    seed_numpy(3)
    np.testing.assert_array_equal(weights, randn(4, 5) * np.sqrt(2 / 5))  # noqa: NPY002


def test_kaiming_init_with_a_generator_leaves_the_global_one_alone(
    seed_numpy: Callable[[int], None],
) -> None:
    seed_numpy(3)
    expected = randn()  # noqa: NPY002
    seed_numpy(3)
    weights = kaiming_init(4, 5, rng=np.random.default_rng(8))
    assert randn() == expected  # noqa: NPY002
    np.testing.assert_array_equal(weights, kaiming_init(4, 5, rng=np.random.default_rng(8)))


def test_kaiming_init_serves_as_init_func(seed_numpy: Callable[[int], None]) -> None:
    seed_numpy(3)
    layer = LinearLayer(5, 4, init_func=kaiming_init)
    seed_numpy(3)
    np.testing.assert_array_equal(layer.w, kaiming_init(4, 5))


@pytest.mark.parametrize("batch", [1, 2, 17])
@pytest.mark.parametrize("zeros", [0.0, 0.5, 1.0])
def test_features_that_are_zero_may_be_left_out(
    rng: np.random.Generator, batch: int, zeros: float
) -> None:
    layer = LinearLayer(30, 20, bias=True, init_func=lambda *shape: rng.standard_normal(shape))
    x = rng.standard_normal((30, batch))
    x[rng.random(30) < zeros] = 0
    expected = layer.apply(x)
    weights = layer.w.copy()
    layer.skip_zeros()
    np.testing.assert_allclose(layer.apply(x), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(layer.w, weights)
    np.testing.assert_array_equal(layer.state_dict()["weight"], weights)


def test_a_layer_that_skips_zeros_has_the_same_gradients(rng: np.random.Generator) -> None:
    layer = LinearLayer(6, 4, bias=True, init_func=lambda *shape: rng.standard_normal(shape))
    x, g = rng.standard_normal((6, 5)), rng.standard_normal((4, 5))
    x[2] = 0
    layer(x)
    expected = layer.backwards(g)
    layer.skip_zeros()
    layer(x)
    for got, wanted in zip(layer.backwards(g), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_a_feature_that_is_not_a_number_is_not_left_out(layer: LinearLayer) -> None:
    layer.skip_zeros()
    x = np.zeros((3, 1))
    x[1] = np.nan
    assert np.isnan(layer.apply(x)).all()
