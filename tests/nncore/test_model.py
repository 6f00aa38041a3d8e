"""The model: forward and predict for any sizes, its dtype, its state dict, attributions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from nncore import (
    FCModel,
    Loss,
    NLLLoss,
    SoftmaxCrossEntropy,
    back_propagate,
    kaiming_init,
    softmax,
)
from nncore.types import Array
from tests.nncore.strategies import batches, features, hidden_sizes, image_shapes, seeds

LABELS = np.array([0, 1, 2, 0, 1, 2])

both_losses = pytest.mark.parametrize("loss", [NLLLoss, SoftmaxCrossEntropy])


def small_model(
    loss: type[Loss] = NLLLoss, dtype: type[np.floating] = np.float32, seed: int = 0
) -> FCModel:
    rng = np.random.default_rng(seed)
    return FCModel((3, 4), (5, 4), 3, loss=loss(), rng=rng, dtype=dtype)


def random_images(count: int = 6, seed: int = 1) -> Array:
    return np.random.default_rng(seed).random((count, 3, 4), np.float32)


def recorded_state(model: FCModel) -> list[Any]:
    """Every array that the nodes record, to compare by identity."""
    names = ("x", "ans", "input_grad", "t", "child")
    nodes = [*model.layers, model.loss]
    return [getattr(node, name, None) for node in nodes for name in names]


@given(shape=image_shapes, hidden=hidden_sizes, classes=features, batch=batches, seed=seeds)
def test_any_sizes_return_one_column_of_probabilities_per_image(
    shape: tuple[int, ...], hidden: Sequence[int], classes: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Not float32: OpenBLAS's product of a matrix and a vector of 5 may read an uninitialized lane,
    # which numpy reports as an invalid value although the result is right.
    model = FCModel(shape, hidden, classes, rng=rng, dtype=np.float64)
    assert model.layer_sizes == (int(np.prod(shape)), *hidden, classes)
    probabilities = model.predict(rng.random((batch, *shape)))
    assert probabilities.shape == (classes, batch)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=0), np.ones(batch), rtol=1e-12)
    assert model.predict(np.zeros((0, *shape))).shape == (classes, 0)


def test_predict_equals_the_formula() -> None:
    model, images = small_model(dtype=np.float64), random_images().astype(np.float64)
    x, state = images.reshape(6, 12).T, model.state_dict()
    for number in (0, 2):
        x = np.maximum(state[f"{number}.weight"] @ x + state[f"{number}.bias"][:, None], 0)
    logits = state["4.weight"] @ x + state["4.bias"][:, None]
    expected = np.exp(logits) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "hidden", "classes"), [((3, 0), (), 2), (3, (4, 0), 2), (3, (), 0), ((-2, -2), (), 2)]
)
def test_sizes_less_than_1_are_rejected(
    shape: int | tuple[int, ...], hidden: tuple[int, ...], classes: int
) -> None:
    with pytest.raises(ValueError, match="expected sizes of 1 or more, got"):
        FCModel(shape, hidden, classes)


def test_initial_biases_are_0_and_weights_those_of_kaiming_init() -> None:
    rng = np.random.default_rng(4)
    for name, value in FCModel(200, (100,), 50, rng=np.random.default_rng(4)).state_dict().items():
        of_weight = kaiming_init(*value.shape, rng=rng) if value.ndim == 2 else 0
        np.testing.assert_array_equal(value, np.float32(of_weight), name)


@both_losses
def test_forward_apply_and_predict_agree_for_flat_and_shaped_images(
    loss: type[Loss],
) -> None:
    model, images = small_model(loss), random_images()
    output = model.forward(images)
    np.testing.assert_array_equal(model.forward(images.reshape(6, 12)), output)
    np.testing.assert_array_equal(model.apply(images), output)
    probabilities = softmax(output) if model.loss.takes_logits else output
    np.testing.assert_array_equal(model.predict(images), probabilities)


@both_losses
def test_a_frozen_model_predicts_the_same_from_its_own_parameters(loss: type[Loss]) -> None:
    rng = np.random.default_rng(0)
    model = FCModel(400, (300,), 3, loss=loss(), rng=rng)
    images, labels = rng.random((5, 400), np.float32), np.array([0, 1, 2, 0, 1])
    images[:, rng.random(400) < 0.8] = 0
    predicted, attributed = model.predict(images), model.attribute(images, labels)
    frozen = model.freeze()
    for value in model.state_dict().values():
        value[...] = 0
    np.testing.assert_allclose(frozen.predict(images), predicted, rtol=1e-5)
    np.testing.assert_allclose(frozen.attribute(images, labels), attributed, rtol=1e-4, atol=1e-6)


@both_losses
@pytest.mark.parametrize(
    "call",
    [
        lambda model, images: model.predict(images),
        lambda model, images: model.apply(images),
        lambda model, images: model.attribute(images, np.zeros(4, int)),
    ],
    ids=["predict", "apply", "attribute"],
)
def test_every_recorded_array_is_left_unchanged(
    loss: type[Loss], call: Callable[[FCModel, Array], Array]
) -> None:
    model = small_model(loss)
    model.loss(model.forward(random_images()), LABELS)
    back_propagate(model.topsorted)
    before = recorded_state(model)
    copies = [array.copy() if isinstance(array, np.ndarray) else array for array in before]
    assert before[0] is not None
    assert call(model, random_images(4, seed=2)).dtype == np.float32
    for now, then, copy in zip(recorded_state(model), before, copies, strict=True):
        assert now is then
        if isinstance(copy, np.ndarray):
            np.testing.assert_array_equal(now, copy)


@both_losses
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("images_dtype", [np.float16, np.float64])
def test_everything_inside_has_the_dtype_of_the_model(
    loss: type[Loss], dtype: type[np.floating], images_dtype: type[np.floating]
) -> None:
    model = small_model(loss, dtype)
    images = random_images().astype(images_dtype)
    value = model.loss(model.forward(images), LABELS)
    gradients = back_propagate(model.topsorted)
    arrays = [value, model.predict(images), *model.state_dict().values()]
    for node in model.topsorted:
        arrays += [node.x, node.ans, node.input_grad, *node.parameters, *gradients.get(node, [])]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


@pytest.mark.parametrize("method", ["forward", "predict"])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 4), np.uint8), "as floats, got uint8: .*scale_pixels"),
        (np.zeros((2, 3, 4), np.complex64), "as floats, got complex64"),
        (np.zeros(()), r"12 pixels.*got shape \(\)"),
        (np.zeros(12), r"12 pixels.*got shape \(12,\)"),
        (np.zeros((2, 3, 4, 2)), r"12 pixels.*got shape \(2, 3, 4, 2\)"),
        (np.zeros((3, 4)), r"12 pixels.*got shape \(3, 4\)"),
    ],
)
def test_images_of_another_dtype_or_size_are_rejected(
    method: str, images: Array, message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(small_model(), method)(images)


def test_loading_a_state_dict_copies_into_the_existing_parameters() -> None:
    source, target, images = small_model(seed=0), small_model(seed=9), random_images()
    parameters = [id(p) for layer in target.layers for p in layer.parameters]
    expected = source.predict(images)
    assert list(source.state_dict()) == [  # those of a torch.nn.Sequential
        f"{layer}.{parameter}" for layer in (0, 2, 4) for parameter in ("weight", "bias")
    ]
    assert not np.allclose(target.predict(images), expected)
    target.load_state_dict(dict(reversed(source.state_dict().items())))
    for value in source.state_dict().values():
        value[...] = 0
    assert not source.layers[0].parameters[0].any()  # views, not copies
    np.testing.assert_array_equal(target.predict(images), expected)
    assert [id(p) for layer in target.layers for p in layer.parameters] == parameters


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("4.bias", None, r"expected the tensors \[.*'4\.bias'.*\], got \["),
        ("6.bias", np.zeros(3, np.float32), r"got \[.*'6\.bias'\]"),
        ("4.bias", np.zeros((3, 1), np.float32), r"float32 \(3,\), got float32 \(3, 1\)"),
        ("4.bias", np.zeros(1, np.float32), r"expected 4\.bias .* got float32 \(1,\)"),
        ("4.weight", np.zeros((3, 4)), r"expected 4\.weight to be float32 .* got float64"),
    ],
    ids=["missing", "unknown", "another shape", "a shape that broadcasts", "another dtype"],
)
def test_an_invalid_state_dict_is_rejected_and_changes_nothing(
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
def test_attributions_are_the_pixels_times_the_gradient(loss: type[Loss]) -> None:
    model = small_model(loss, np.float64)
    images, labels = random_images(4).reshape(4, 12).astype(np.float64), np.array([0, 2, 1, 2])

    def contrast(x: Array) -> Array:
        logits = x.T
        for layer in model.logit_layers:
            logits = layer.apply(logits)
        difference: Array = logits[labels, np.arange(4)] - logits.mean(axis=0)
        return difference

    expected = np.empty_like(images)
    for pixel, nudge in enumerate(1e-6 * np.eye(12)):
        slope = (contrast(images + nudge) - contrast(images - nudge)) / 2e-6
        expected[:, pixel] = images[:, pixel] * slope
    np.testing.assert_allclose(model.attribute(images, labels), expected, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match=r"expected labels in 0\.\.2, got 3"):
        model.attribute(images[:1], np.array([3]))
