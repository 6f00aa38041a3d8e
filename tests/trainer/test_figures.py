"""The pictures of a report: what they show, in which order and on which scale."""

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from nncore import FCModel
from nncore.types import Array
from tests.trainer.data import toy_problem
from trainer.figures import (
    draw_confusion,
    draw_curves,
    draw_deformations,
    draw_first_layer,
    draw_mistakes,
    png,
)
from trainer.history import EpochRecord

HISTORY = [
    EpochRecord(epoch, 1e-3 / epoch, 2.0 / epoch, 3.0 / epoch, 1 - 0.1 / epoch, 1000.0, epoch)
    for epoch in range(1, 5)
]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def titles(figure: Figure) -> list[str]:
    return [title for axes in figure.axes if (title := axes.get_title())]


def pictures(figure: Figure) -> list[Array]:
    """The images of a figure, axes by axes."""
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


@pytest.mark.parametrize("shape", [(12,), (6, 2), (3, 4, 3), (2, 2, 2, 2)], ids=str)
def test_images_of_any_shape_can_be_shown(shape: tuple[int, ...]) -> None:
    test = toy_problem(3, shape=shape)
    figure = draw_mistakes(test, np.eye(3)[(test.labels + 1) % 3], ["a", "b", "c"])
    figure.canvas.draw()
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    assert shown.shape == (shape[0], math.prod(shape[1:]))


def test_mistakes_are_shown_surest_first() -> None:
    test = replace(toy_problem(4), labels=np.array([0, 1, 2, 0]))
    probabilities = np.array([[0.2, 0.6, 0.2], [0.05, 0.9, 0.05], [0.8, 0.1, 0.1], [0.0, 0.3, 0.7]])
    figure = draw_mistakes(test, probabilities, ["a", "b", "c"])
    assert titles(figure) == ["c, read a\n80.0%", "a, read c\n70.0%", "a, read b\n60.0%"]


def test_no_more_mistakes_are_shown_than_fit() -> None:
    test = toy_problem(50)
    wrong = np.eye(3)[(test.labels + 1) % 3]
    assert len(titles(draw_mistakes(test, wrong, ["a", "b", "c"]))) == 24


def test_a_network_without_mistakes_is_said_to_have_none() -> None:
    test = toy_problem(30)
    figure = draw_mistakes(test, np.eye(3)[test.labels], ["a", "b", "c"])
    assert titles(figure) == []
    assert figure.get_suptitle() == "no mistakes"


@pytest.mark.parametrize(("classes", "numbers"), [(2, 2), (20, 20), (21, 0), (60, 0)])
def test_the_matrix_shows_numbers_where_there_is_room_for_them(classes: int, numbers: int) -> None:
    labels = [f"{k}" for k in range(classes)]
    figure = draw_confusion(np.diag(np.arange(1, classes + 1)), labels)
    assert texts(figure) == [*labels[1:], f"{classes}"] if numbers else texts(figure) == []


def test_only_mistakes_are_shaded() -> None:
    matrix = np.array([[900, 1], [3, 800]])
    figure = draw_confusion(matrix, ["a", "b"])
    shades = figure.axes[0].images[0].get_array()
    assert shades is not None
    np.testing.assert_array_equal(shades, [[0, 1], [3, 0]])
    assert matrix.tolist() == [[900, 1], [3, 800]]


@pytest.mark.parametrize(
    "history",
    [
        HISTORY[:1],
        HISTORY,
        [HISTORY[0], *[replace(HISTORY[1], training_loss=0.0, validation_loss=0.0)] * 3],
        [replace(HISTORY[0], training_loss=1e-30, validation_loss=1e30)] * 2,
        [replace(HISTORY[0], epoch=epoch) for epoch in range(1, 301)],
    ],
    ids=["one epoch", "several", "nothing left to learn", "far apart", "hundreds"],
)
def test_the_curves_have_a_point_an_epoch(history: list[EpochRecord]) -> None:
    figure = draw_curves(history)
    figure.canvas.draw()
    loss, accuracy, rate = figure.axes
    assert [len(np.asarray(line.get_xdata())) for line in loss.lines] == [len(history)] * 2
    for axes, expected in (
        (accuracy, [100 * record.validation_accuracy for record in history]),
        (rate, [record.learning_rate for record in history]),
    ):
        np.testing.assert_array_equal(np.asarray(axes.lines[0].get_ydata()), expected)


def test_the_first_layers_units_are_shown_strongest_first_and_on_one_scale() -> None:
    model = FCModel((4, 3), (90,), 2, rng=np.random.default_rng(0))
    figure = draw_first_layer(model)
    shown = pictures(figure)
    assert len(shown) == 64
    norms = [float(np.linalg.norm(image)) for image in shown]
    assert norms == sorted(norms, reverse=True)
    weights = model.state_dict()["0.weight"]
    assert norms[0] == pytest.approx(np.linalg.norm(weights, axis=1).max())
    assert shown[0].shape == (4, 3)
    limits = {image.get_clim() for axes in figure.axes for image in axes.images}
    assert len(limits) == 1
    ((low, high),) = limits
    assert low == -high


def test_few_units_are_all_shown() -> None:
    model = FCModel((4, 3), (5,), 2, rng=np.random.default_rng(0))
    assert len(pictures(draw_first_layer(model))) == 5


def test_deformed_copies_stand_below_their_originals() -> None:
    originals = toy_problem(3).images
    copies = [np.full(originals.shape, level, np.float32) for level in (0.25, 0.5)]
    figure = draw_deformations(originals, copies)
    shown = pictures(figure)
    assert len(shown) == 9
    np.testing.assert_allclose(shown[:3], originals / 255)
    assert [image.mean() for image in shown[3:]] == [0.25] * 3 + [0.5] * 3
    labels = [label for axes in figure.axes if (label := axes.get_ylabel())]
    assert labels == ["original", "deformed"]


def test_a_figure_becomes_a_png() -> None:
    content = png(draw_curves(HISTORY))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
