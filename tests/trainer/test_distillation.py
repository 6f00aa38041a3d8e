"""Teachers: their probabilities, and those that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from nncore import scale_pixels, softmax
from tests.support.models import publish
from trainer.distillation import Teachers
from trainer.errors import TrainerError
from trainer.versions import load_version


def test_the_probabilities_are_the_mean_of_those_of_the_teachers_at_the_temperature(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    for seed in (0, 1):
        publish(tmp_path, seed=seed)
    paths = [tmp_path / "mnist" / version for version in ("1", "2")]
    images = scale_pixels(rng.integers(0, 256, (5, 28, 28)).astype(np.uint8))
    got = Teachers(paths, (28, 28), 10).probabilities(images, 3.0)
    logits = [load_version(path).model.logits(images) for path in paths]
    expected = (softmax(logits[0] / 3) + softmax(logits[1] / 3)) / 2
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got.dtype == np.float32


def test_a_teacher_of_other_images_or_classes_is_rejected(tmp_path: Path) -> None:
    publish(tmp_path)
    for shape, classes in (((14, 14), 10), ((28, 28), 9)):
        with pytest.raises(TrainerError, match="expected a teacher of"):
            Teachers([tmp_path / "mnist"], shape, classes)
