"""Calibration: the temperature of least loss, folded into the last layer and nowhere else."""

import numpy as np
import pytest

from nncore import FCModel, SoftmaxCrossEntropy, evaluate, softmax
from nncore.types import Array
from trainer.calibration import (
    BINS,
    calibrate,
    expected_calibration_error,
    predict_logits,
    reliability,
)
from trainer.fit import as_dataset
from trainer.labelled_images import LabelledImages


def problem(seed: int, images: int = 400) -> tuple[FCModel, LabelledImages]:
    """Make a model and images whose labels are drawn from its own probabilities: calibrated."""
    rng = np.random.default_rng(seed)
    model = FCModel((4, 4), (6,), 3, loss=SoftmaxCrossEntropy(), rng=rng)
    pixels = rng.integers(0, 256, (images, 4, 4), dtype=np.uint8)
    data = LabelledImages(pixels, np.zeros(images, np.int64))
    chances = softmax(predict_logits(model, data)).T.cumsum(axis=1)
    labels = (rng.random((images, 1)) > chances[:, :-1]).sum(axis=1)
    return model, LabelledImages(pixels, labels)


def scale_last_layer(model: FCModel, factor: float) -> None:
    for parameter in model.layers[-1].parameters:
        parameter *= factor


def loss_at(logits: Array, labels: Array, temperature: float) -> float:
    probabilities = softmax(logits.astype(np.float64) / temperature)
    return float(-np.log(probabilities[labels, np.arange(len(labels))]).sum())


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5])
def test_the_temperature_is_the_one_of_least_loss(factor: float) -> None:
    model, data = problem(seed=1, images=4_000)
    scale_last_layer(model, factor)
    logits = predict_logits(model, data)
    temperature = calibrate(model, data)
    least = loss_at(logits, data.labels, temperature)
    for other in (0.98, 1.02):
        assert loss_at(logits, data.labels, temperature * other) > least
    assert temperature == pytest.approx(factor, rel=0.25)


def test_the_temperature_is_folded_into_the_last_layer_alone() -> None:
    model, data = problem(seed=2)
    scale_last_layer(model, 3)
    before = {name: value.copy() for name, value in model.state_dict().items()}
    logits = predict_logits(model, data)
    temperature = calibrate(model, data)
    np.testing.assert_allclose(predict_logits(model, data), logits / temperature, atol=1e-5)
    for name, value in model.state_dict().items():
        changed = (value != before[name]).any()
        assert changed == (name.startswith("2.") and before[name].any()), name
        assert value.dtype == np.float32


def test_it_never_changes_what_is_read_and_never_adds_to_the_loss() -> None:
    model, data = problem(seed=3)
    scale_last_layer(model, 2)
    before = evaluate(model, as_dataset(data))
    calibrate(model, data)
    after = evaluate(model, as_dataset(data))
    assert after.correct == before.correct
    assert after.loss < before.loss


def test_a_network_without_a_mistake_is_not_made_sure_without_bounds() -> None:
    model, data = problem(seed=4)
    flawless = LabelledImages(data.images, predict_logits(model, data).argmax(axis=0))
    assert calibrate(model, flawless) == pytest.approx(1 / 4)


def test_reliability_by_hand() -> None:
    confidences = np.array([0.95, 0.97, 0.5, 0.5, 1.0])
    hits = np.array([True, False, True, False, True])
    counts, confidence, accuracy = reliability(confidences, hits)
    assert (counts[7], counts[14], counts.sum()) == (2, 3, 5)
    assert confidence[7] == pytest.approx(0.5)
    assert confidence[14] == pytest.approx(2.92 / 3)
    assert (accuracy[7], accuracy[14]) == pytest.approx((0.5, 2 / 3))
    assert len(counts) == BINS
    # 2 answers at 0 and 3 at 2.92/3 - 2/3 = 0.92/3, averaged over 5
    assert expected_calibration_error(confidences, hits) == pytest.approx(0.92 / 5)


def test_answers_as_sure_as_they_are_right_have_no_error() -> None:
    confidences = np.full(100, 0.75)
    assert expected_calibration_error(confidences, np.arange(100) % 4 > 0) == pytest.approx(0)


def test_logits_of_any_number_of_images_come_in_their_order() -> None:
    model, data = problem(seed=5, images=700)
    all_at_once = model.apply(data.images.astype(np.float32) / 255)
    np.testing.assert_allclose(predict_logits(model, data), all_at_once, rtol=1e-4, atol=1e-6)
