"""Calibration: the temperature minimizes the loss and changes the last layer only."""

import numpy as np
import pytest

from nncore import FCModel, SoftmaxCrossEntropy, evaluate, softmax
from nncore.types import Array
from trainer.calibration import calibrate
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all


def problem(factor: float = 1, images: int = 400) -> tuple[FCModel, LabelledImages]:
    """Make a model, its last layer scaled by a factor after labels were drawn from its answers."""
    rng = np.random.default_rng(1)
    model = FCModel((4, 4), (6,), 3, loss=SoftmaxCrossEntropy(), rng=rng)
    pixels = rng.integers(0, 256, (images, 4, 4), dtype=np.uint8)
    data = LabelledImages(pixels, np.zeros(images, np.int64))
    chances = softmax(answer_all(model.apply, data)).T.cumsum(axis=1)
    labels = (rng.random((images, 1)) > chances[:, :-1]).sum(axis=1)
    for parameter in model.layers[-1].parameters:
        parameter *= factor
    return model, LabelledImages(pixels, labels)


def loss_at(logits: Array, labels: Array, temperature: float) -> float:
    probabilities = softmax(logits.astype(np.float64) / temperature)
    return float(-np.log(probabilities[labels, np.arange(len(labels))]).sum())


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5])
def test_the_temperature_minimizes_the_loss(factor: float) -> None:
    model, data = problem(factor, images=4_000)
    logits = answer_all(model.apply, data)
    temperature = calibrate(model, data)
    least = loss_at(logits, data.labels, temperature)
    for other in (0.98, 1.02):
        assert loss_at(logits, data.labels, temperature * other) > least
    assert temperature == pytest.approx(factor, rel=0.25)


def test_only_the_last_layer_changes_and_predicted_classes_stay() -> None:
    model, data = problem(factor=3)
    before = {name: value.copy() for name, value in model.state_dict().items()}
    logits, evaluation = answer_all(model.apply, data), evaluate(model, data.as_dataset())
    temperature = calibrate(model, data)
    np.testing.assert_allclose(answer_all(model.apply, data), logits / temperature, atol=1e-5)
    for name, value in model.state_dict().items():
        changed = (value != before[name]).any()
        assert changed == (name.startswith("2.") and before[name].any()), name
        assert value.dtype == np.float32
    after = evaluate(model, data.as_dataset())
    assert after.correct == evaluation.correct
    assert after.loss < evaluation.loss


def test_the_temperature_is_bounded_without_mistakes() -> None:
    model, data = problem()
    flawless = LabelledImages(data.images, answer_all(model.apply, data).argmax(axis=0))
    assert calibrate(model, flawless) == pytest.approx(1 / 4)
