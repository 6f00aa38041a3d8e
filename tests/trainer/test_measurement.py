"""Metrics of predictions, by hand."""

import numpy as np
import pytest

from nncore import FCModel
from trainer.labelled_images import LabelledImages
from trainer.measurement import (
    BINS,
    answer_all,
    described,
    expected_calibration_error,
    measure,
    reliability,
)


def problem(images: int) -> tuple[FCModel, LabelledImages]:
    rng = np.random.default_rng(5)
    model = FCModel((4, 4), (6,), 3, rng=rng)
    pixels = rng.integers(0, 256, (images, 4, 4), dtype=np.uint8)
    return model, LabelledImages(pixels, rng.integers(0, 3, images))


@pytest.mark.parametrize("images", [1, 256, 700])
def test_answers_to_any_number_of_images_come_in_their_order(images: int) -> None:
    model, data = problem(images)
    all_at_once = model.predict(data.images.astype(np.float32) / 255)
    np.testing.assert_allclose(answer_all(model.predict, data), all_at_once, rtol=1e-4, atol=1e-6)


def test_metrics_by_hand() -> None:
    probabilities = np.array([[0.5, 0.8], [0.5, 0.2]])
    metrics = measure(probabilities, np.array([0, 1]))
    assert metrics["accuracy"] == 0.5
    assert metrics["loss"] == pytest.approx(-np.log(0.5 * 0.2) / 2)
    assert metrics["calibration_error"] == pytest.approx((0.5 + 0.8) / 2)


def test_metrics_are_described_in_a_line() -> None:
    metrics = {"images": 10_000, "accuracy": 0.9931, "loss": 0.02345, "calibration_error": 0.0021}
    assert described(metrics) == ("99.31% (9,931 of 10,000), loss 0.0234, calibration error 0.21%")


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
