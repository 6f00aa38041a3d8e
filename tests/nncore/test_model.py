"""The model: any sizes, one pass that records and one that does not, and its state dict."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from nncore import (
    ClassificationLoss,
    FCModel,
    LinearLayer,
    NLLLoss,
    Node,
    ReLU,
    Softmax,
    SoftmaxCrossEntropy,
    back_propagate,
    kaiming_init,
    softmax,
)
from nncore.types import Array
from tests.nncore.strategies import batches, features, hidden_sizes, image_shapes, seeds
from tests.nncore.test_activations import both_dtypes

THREADS = 8
ROUNDS = 40

both_losses = pytest.mark.parametrize("loss", [NLLLoss, SoftmaxCrossEntropy])


def small_model(
    loss: type[ClassificationLoss] = NLLLoss, dtype: type[np.floating] = np.float32, seed: int = 0
) -> FCModel:
    rng = np.random.default_rng(seed)
    return FCModel((3, 4), (5, 4), 3, loss=loss(), rng=rng, dtype=dtype)


def random_images(count: int = 6, seed: int = 1) -> Array:
    return np.random.default_rng(seed).random((count, 3, 4), np.float32)


def every_node(model: FCModel) -> list[Node]:
    return [*model.layers, model.softmax, model.loss]


def recorded_state(model: FCModel) -> list[Any]:
    """Every array that the nodes remember, to be compared by identity."""
    names = ("x", "ans", "input_grad", "t", "child")
    return [getattr(node, name, None) for node in every_node(model) for name in names]


def test_default_is_784_512_256_10_in_single_precision() -> None:
    model = FCModel()
    assert model.layer_sizes == (784, 512, 256, 10)
    assert model.input_shape == (784,)
    assert repr(model) == "FCModel(784-512-256-10, float32)"
    kinds = [LinearLayer, ReLU, LinearLayer, ReLU, LinearLayer, Softmax]
    assert [type(layer) for layer in model.layers] == kinds
    assert isinstance(model.loss, NLLLoss)


@given(shape=image_shapes, hidden=hidden_sizes, classes=features, batch=batches, seed=seeds)
def test_any_sizes_give_one_column_of_probabilities_an_image(
    shape: tuple[int, ...], hidden: Sequence[int], classes: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Not float32: OpenBLAS's product of a matrix and a vector of 5 may read an uninitialized lane,
    # which numpy reports as an invalid value although the result is right.
    model = FCModel(shape, hidden, classes, rng=rng, dtype=np.float64)
    linear = [layer.w.shape for layer in model.layers if isinstance(layer, LinearLayer)]
    sizes = (int(np.prod(shape)), *hidden, classes)
    assert linear == list(zip(sizes[1:], sizes[:-1], strict=True))
    probabilities = model.predict(rng.random((batch, *shape)))
    assert probabilities.shape == (classes, batch)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=0), np.ones(batch), rtol=1e-12)


@both_losses
def test_probabilities_sum_to_1_in_single_precision(loss: type[ClassificationLoss]) -> None:
    model = FCModel((28, 28), loss=loss(), rng=np.random.default_rng(0))
    images = np.random.default_rng(1).random((20, 28, 28), np.float32)
    np.testing.assert_allclose(model.predict(images).sum(axis=0), np.ones(20), rtol=1e-6)


def test_no_hidden_layers_is_softmax_regression(rng: np.random.Generator) -> None:
    model = FCModel(4, (), 3, rng=rng, dtype=np.float64)
    layer, images = model.layers[0], rng.random((5, 4))
    assert isinstance(layer, LinearLayer)
    assert layer.b is not None
    expected = softmax(layer.w @ images.T + layer.b)
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-14)


def test_answer_by_hand_through_every_layer() -> None:
    model, images = small_model(dtype=np.float64), random_images().astype(np.float64)
    x = images.reshape(6, 12).T
    state = model.state_dict()
    for number in (0, 2):
        x = np.maximum(state[f"{number}.weight"] @ x + state[f"{number}.bias"][:, None], 0)
    logits = state["4.weight"] @ x + state["4.bias"][:, None]
    expected = np.exp(logits) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "hidden", "classes"),
    [(0, (), 2), ((3, 0), (), 2), (3, (4, 0), 2), (3, (), 0), (-1, (), 2), ((-2, -2), (), 2)],
)
def test_sizes_less_than_1_are_an_error(
    shape: int | tuple[int, ...], hidden: tuple[int, ...], classes: int
) -> None:
    with pytest.raises(ValueError, match="expected sizes of 1 or more, got"):
        FCModel(shape, hidden, classes)


def test_children_lead_from_the_first_layer_to_the_loss() -> None:
    for loss in (NLLLoss, SoftmaxCrossEntropy):
        model = small_model(loss)
        path: list[Node] = [model.layers[0]]
        while path[-1].child is not None:
            path.append(path[-1].child)
        assert path == [*model.layers, model.loss]
        assert model.topsorted == path[::-1]


def test_biases_start_at_0_and_weights_as_kaiming_draws_them() -> None:
    model = FCModel(200, (100,), 50, rng=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    for layer in (model.layers[0], model.layers[2]):
        assert isinstance(layer, LinearLayer)
        expected = kaiming_init(*layer.w.shape, rng=rng).astype(np.float32)
        np.testing.assert_array_equal(layer.w, expected)
        np.testing.assert_array_equal(layer.b, np.zeros((len(layer.w), 1)))


def test_weights_come_from_the_global_generator_by_default(
    seed_numpy: Callable[[int], None],
) -> None:
    seed_numpy(5)
    first = FCModel(4, (3,), 2).state_dict()
    other = FCModel(4, (3,), 2).state_dict()
    seed_numpy(5)
    again = FCModel(4, (3,), 2).state_dict()
    assert (first["0.weight"] != other["0.weight"]).all()
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)


@both_losses
def test_images_may_come_flat_or_in_shape(loss: type[ClassificationLoss]) -> None:
    model, images = small_model(loss), random_images()
    np.testing.assert_array_equal(model.predict(images.reshape(6, 12)), model.predict(images))
    np.testing.assert_array_equal(model.forward(images.reshape(6, 12)), model.forward(images))


def test_with_nll_forward_gives_probabilities_and_predict_the_same() -> None:
    model, images = small_model(NLLLoss), random_images()
    np.testing.assert_array_equal(model.predict(images), model.forward(images))
    assert model.layers[-1] is model.softmax


def test_with_cross_entropy_forward_gives_logits_and_predict_their_softmax() -> None:
    model, images = small_model(SoftmaxCrossEntropy), random_images()
    logits = model.forward(images)
    np.testing.assert_array_equal(model.predict(images), softmax(logits))
    assert not np.allclose(logits.sum(axis=0), 1)


def test_predict_does_not_depend_on_the_loss() -> None:
    images = random_images()
    by_nll, fused = small_model(NLLLoss), small_model(SoftmaxCrossEntropy)
    np.testing.assert_array_equal(by_nll.predict(images), fused.predict(images))


@both_losses
def test_apply_gives_what_forward_gives(loss: type[ClassificationLoss]) -> None:
    model, images = small_model(loss), random_images()
    np.testing.assert_array_equal(model.apply(images), model.forward(images))


@both_losses
@pytest.mark.parametrize("method", ["predict", "apply"])
def test_predict_leaves_every_recorded_array_untouched(
    loss: type[ClassificationLoss], method: str
) -> None:
    model = small_model(loss)
    model.loss(model.forward(random_images()), np.array([0, 1, 2, 0, 1, 2]))
    back_propagate(model.topsorted)
    before = recorded_state(model)
    copies = [array.copy() if isinstance(array, np.ndarray) else array for array in before]
    assert before[0] is not None
    getattr(model, method)(random_images(4, seed=2))
    for now, then, copy in zip(recorded_state(model), before, copies, strict=True):
        assert now is then
        if isinstance(copy, np.ndarray):
            np.testing.assert_array_equal(now, copy)


@both_losses
def test_predict_on_a_fresh_model_records_nothing(loss: type[ClassificationLoss]) -> None:
    model = small_model(loss)
    model.predict(random_images())
    for node in every_node(model):
        assert [node.x, node.ans, node.input_grad] == [None] * 3


def test_predict_leaves_the_images_alone() -> None:
    images = random_images()
    before = images.copy()
    small_model().predict(images)
    np.testing.assert_array_equal(images, before)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Make threads take turns as often as they can, so that shared state would show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
@both_losses
def test_threads_predicting_on_one_model_get_exactly_their_own_answers(
    loss: type[ClassificationLoss],
) -> None:
    model = small_model(loss)
    batches = [random_images(7, seed) for seed in range(THREADS)]
    expected = [model.predict(images).tobytes() for images in batches]
    assert len(set(expected)) == THREADS
    start = Barrier(THREADS)

    def predict(images: Array) -> set[bytes]:
        start.wait()
        return {model.predict(images).tobytes() for _ in range(ROUNDS)}

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(predict, batches))
    assert answers == [{answer} for answer in expected]


@both_dtypes
@both_losses
@pytest.mark.parametrize("images_dtype", [np.float16, np.float32, np.float64])
def test_everything_inside_has_the_dtype_of_the_model(
    loss: type[ClassificationLoss], dtype: type[np.floating], images_dtype: type[np.floating]
) -> None:
    model = small_model(loss, dtype)
    images = random_images().astype(images_dtype)
    value = model.loss(model.forward(images), np.array([0, 1, 2, 0, 1, 2]))
    gradients = back_propagate(model.topsorted)
    arrays = [value, model.predict(images), *model.state_dict().values()]
    for node in model.topsorted:
        arrays += [node.x, node.ans, node.input_grad, *node.parameters, *gradients.get(node, [])]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


@pytest.mark.parametrize("method", ["forward", "apply", "predict"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.complex64, np.object_])
def test_images_that_are_not_floats_are_an_error(method: str, dtype: type[Any]) -> None:
    message = f"expected pixels / 255 as floats, got {np.dtype(dtype)}: scale_pixels"
    with pytest.raises(TypeError, match=message):
        getattr(small_model(), method)(np.zeros((2, 3, 4), dtype))


@pytest.mark.parametrize("method", ["forward", "apply", "predict"])
@pytest.mark.parametrize("shape", [(), (12,), (2, 11), (2, 13), (2, 3, 5), (2, 3, 4, 2), (3, 4)])
def test_images_of_another_size_are_an_error_that_says_both(
    method: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="expected images of 12 pixels") as error:
        getattr(small_model(), method)(np.zeros(shape))
    assert str(error.value).endswith(f"got shape {shape}")


def test_images_of_one_pixel_still_come_as_a_batch() -> None:
    model = FCModel(1, (), 2)
    assert model.predict(np.zeros((5, 1))).shape == (2, 5)
    with pytest.raises(ValueError, match=r"expected images of 1 pixels.* got shape \(5,\)"):
        model.predict(np.zeros(5))


def test_a_batch_of_none_gives_no_columns() -> None:
    assert small_model().predict(np.zeros((0, 3, 4), np.float32)).shape == (3, 0)


def test_state_dict_has_the_names_and_shapes_of_the_torch_sequential() -> None:
    expected = {
        "0.weight": (512, 784),
        "0.bias": (512,),
        "2.weight": (256, 512),
        "2.bias": (256,),
        "4.weight": (10, 256),
        "4.bias": (10,),
    }
    for loss in (NLLLoss(), SoftmaxCrossEntropy()):
        state = FCModel((28, 28), loss=loss).state_dict()
        assert {name: value.shape for name, value in state.items()} == expected
        assert {value.dtype for value in state.values()} == {np.dtype(np.float32)}


def test_state_dict_gives_views_of_the_parameters() -> None:
    model = small_model()
    for value in model.state_dict().values():
        value[...] = 0
    for layer in model.layers:
        for parameter in layer.parameters:
            np.testing.assert_array_equal(parameter, np.zeros_like(parameter))


def test_loading_a_state_dict_gives_the_same_answers() -> None:
    source, target, images = small_model(seed=0), small_model(seed=9), random_images()
    assert not np.allclose(target.predict(images), source.predict(images))
    shuffled = dict(reversed(source.state_dict().items()))
    target.load_state_dict(shuffled)
    np.testing.assert_array_equal(target.predict(images), source.predict(images))


def test_loading_copies_into_the_parameters_that_are_there() -> None:
    source, target = small_model(seed=0), small_model(seed=9)
    parameters = [id(p) for layer in target.layers for p in layer.parameters]
    target.load_state_dict(source.state_dict())
    assert [id(p) for layer in target.layers for p in layer.parameters] == parameters
    expected = target.state_dict()["0.weight"].copy()
    source.state_dict()["0.weight"][...] = 0
    np.testing.assert_array_equal(target.state_dict()["0.weight"], expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("4.bias", None, r"expected the tensors \[.*'4\.bias'.*\], got \["),
        ("6.bias", np.zeros(3, np.float32), r"got \[.*'6\.bias'\]"),
        (
            "4.bias",
            np.zeros((3, 1), np.float32),
            r"expected 4\.bias to be float32 \(3,\), got float32 \(3, 1\)",
        ),
        ("4.bias", np.zeros(1, np.float32), r"expected 4\.bias .* got float32 \(1,\)"),
        ("4.weight", np.zeros((3, 4)), r"expected 4\.weight to be float32 .* got float64"),
    ],
    ids=["missing", "unknown", "another shape", "a shape that broadcasts", "another dtype"],
)
def test_a_state_dict_with_a_fault_is_an_error_and_loads_nothing(
    name: str, value: Array | None, message: str
) -> None:
    model, state = small_model(seed=0), dict(small_model(seed=9).state_dict())
    before = {name: value.copy() for name, value in model.state_dict().items()}
    if value is None:
        del state[name]
    else:
        state[name] = value
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(state)
    for own, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[own])


@both_losses
def test_attributions_are_the_pixels_times_the_gradient(loss: type[ClassificationLoss]) -> None:
    model = small_model(loss, np.float64)
    images, labels = random_images(4).reshape(4, 12).astype(np.float64), np.array([0, 2, 1, 2])

    def contrast(x: Array) -> Array:
        logits = x.T
        for layer in model.layers:
            if layer is not model.softmax:
                logits = layer.apply(logits)
        difference: Array = logits[labels, np.arange(4)] - logits.mean(axis=0)
        return difference

    step = 1e-6
    expected = np.empty_like(images)
    for pixel in range(12):
        nudge = np.zeros(12)
        nudge[pixel] = step
        slope = (contrast(images + nudge) - contrast(images - nudge)) / (2 * step)
        expected[:, pixel] = images[:, pixel] * slope
    np.testing.assert_allclose(model.attribute(images, labels), expected, rtol=1e-6, atol=1e-9)


def test_attributions_leave_no_trace(rng: np.random.Generator) -> None:
    model = FCModel((3, 4), (5, 4), 3, rng=rng, needs_input_grad=False)
    model.loss(model.forward(random_images()), np.arange(6) % 3)
    before = recorded_state(model)
    assert model.attribute(random_images(2), np.array([1, 0])).dtype == np.float32
    assert all(now is then for now, then in zip(recorded_state(model), before, strict=True))


def test_a_label_that_is_no_class_has_no_attributions() -> None:
    with pytest.raises(ValueError, match=r"expected labels in 0\.\.2, got 3"):
        small_model().attribute(random_images(1), np.array([3]))
