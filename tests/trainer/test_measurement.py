"""Metrics of predictions, by hand."""

import numpy as np
import pytest

from nncore import FCModel
from tests.support.data import toy_problem
from trainer.measurement import answer_all, described, expected_calibration_error, measure


@pytest.mark.parametrize("images", [1, 256, 700])
def test_answers_to_any_number_of_images_come_in_their_order(images: int) -> None:
    model, data = FCModel((4, 3), (6,), 3), toy_problem(images)
    all_at_once = model.predict(data.images.astype(np.float32) / 255)
    np.testing.assert_allclose(answer_all(model.predict, data), all_at_once, rtol=1e-4, atol=1e-6)


def test_metrics_by_hand() -> None:
    metrics = measure(np.array([[0.5, 0.8], [0.5, 0.2]]), np.array([0, 1]))
    assert metrics["accuracy"] == 0.5
    assert metrics["loss"] == pytest.approx(-np.log(0.5 * 0.2) / 2)
    assert metrics["calibration_error"] == pytest.approx((0.5 + 0.8) / 2)
    assert described(metrics).startswith("50.00% (1 of 2), loss 1.1513")


def test_the_calibration_error_by_hand() -> None:
    confidences = np.array([0.95, 0.97, 0.5, 0.5, 1.0])
    hits = np.array([True, False, True, False, True])
    # 2 answers at 0 and 3 at 2.92/3 - 2/3 = 0.92/3, averaged over 5
    assert expected_calibration_error(confidences, hits) == pytest.approx(0.92 / 5)
