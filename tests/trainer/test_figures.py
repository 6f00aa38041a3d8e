"""The figures of a report: they render for any sizes, and show the numbers that they are given."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from nncore import FCModel
from tests.support.data import toy_problem
from trainer.figures import (
    draw_confusion,
    draw_curves,
    draw_deformations,
    draw_first_layer,
    draw_mistakes,
    draw_reliability,
    png,
)
from trainer.history import EpochRecord

LABELS = ["a", "b", "c"]
PNG = b"\x89PNG\r\n\x1a\n"


def records(count: int, training_loss: float = 2, validation_loss: float = 9) -> list[EpochRecord]:
    return [
        EpochRecord(epoch, 0.1 / epoch, training_loss / epoch, validation_loss, 0.5, 1e4, 7.5)
        for epoch in range(1, count + 1)
    ]


def titles(figure: Figure) -> list[str]:
    return [title for axes in figure.axes if (title := axes.get_title())]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: draw_curves(records(1)),
        lambda: draw_curves([*records(1), *records(4, 0, 0)[1:]]),
        lambda: draw_curves(records(2, 1e-30, 1e30)),
        lambda: draw_first_layer(FCModel((40, 2), (65,), 3)),
        lambda: draw_deformations(np.zeros((3, 5, 4), np.uint8), [np.ones((3, 5, 4), np.float32)]),
        lambda: draw_reliability(toy_problem(3), np.eye(3)),
        lambda: draw_confusion(np.eye(21, dtype=np.int64), [f"{k}" for k in range(21)]),
    ],
    ids=["one epoch", "losses of 0", "far apart", "many units", "copies", "certain", "21 classes"],
)
def test_a_figure_renders(draw: Callable[[], Figure]) -> None:
    assert png(draw()).startswith(PNG)


@pytest.mark.parametrize("shape", [(12,), (6, 2), (2, 2, 3)], ids=str)
def test_mistakes_of_any_shape_are_shown_by_confidence(shape: tuple[int, ...]) -> None:
    test = replace(toy_problem(4, shape=shape), labels=np.array([0, 1, 2, 0]))
    probabilities = np.array([[0.2, 0.6, 0.2], [0.05, 0.9, 0.05], [0.8, 0.1, 0.1], [0.0, 0.3, 0.7]])
    found = titles(draw_mistakes(test, probabilities, LABELS))
    assert [title.split()[-1] for title in found] == ["80.0%", "70.0%", "60.0%"]
    assert titles(draw_mistakes(test, np.eye(3)[test.labels], LABELS)) == []
