"""The pictures of a report: they open, and show the numbers that they are given."""

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nncore import FCModel
from nncore.types import Array
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

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def records(
    count: int, training_loss: float = 2, validation_loss: float = 9
) -> tuple[EpochRecord, ...]:
    return tuple(
        EpochRecord(
            epoch=epoch,
            learning_rate=0.1 * (count - epoch),
            training_loss=training_loss / epoch,
            validation_loss=validation_loss / epoch,
            validation_accuracy=1 - 1 / (epoch + 1),
            images_per_second=1e4,
            seconds=float(epoch),
        )
        for epoch in range(1, count + 1)
    )


def png_size(content: bytes) -> tuple[int, int]:
    assert content.startswith(PNG_MAGIC)
    assert content.endswith(b"IEND\xaeB`\x82")
    assert content[12:16] == b"IHDR"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def titles(figure: Figure) -> list[str]:
    return [title for axes in figure.axes if (title := axes.get_title())]


def line(figure: Figure, axes: int, number: int = 0) -> Array:
    return np.asarray(figure.axes[axes].lines[number].get_ydata())


def shown(figure: Figure) -> Array:
    """The array that the first axes shows; NaN where there is nothing."""
    array = figure.axes[0].images[0].get_array()
    assert array is not None
    return np.ma.filled(np.ma.asarray(array, float), np.nan)


def tiles(figure: Figure, height: int, width: int) -> list[Array]:
    """Cut a mosaic apart where whole rows and columns are empty; an empty place is no tile."""
    mosaic = shown(figure)
    rows, columns = (np.flatnonzero(~np.isnan(mosaic).all(axis=axis)) for axis in (1, 0))
    tops, lefts = rows[::height], columns[::width]
    cut = [mosaic[top : top + height, left : left + width] for top in tops for left in lefts]
    return [tile for tile in cut if not np.isnan(tile).all()]


def first_layer(shape: tuple[int, ...], units: int) -> FCModel:
    return FCModel(shape, (units,), 3, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    "figure",
    [
        draw_curves(records(3)),
        draw_confusion(np.eye(3, dtype=np.int64), ["a", "b", "c"]),
        draw_mistakes(toy_problem(3), np.full((3, 3), 1 / 3), ["a", "b", "c"]),
        draw_reliability(toy_problem(3), np.full((3, 3), 1 / 3)),
        draw_first_layer(first_layer((4, 3), 5)),
        draw_first_layer(first_layer((2, 40), 1)),
        draw_first_layer(first_layer((40, 2), 64)),
        draw_deformations(np.zeros((2, 4, 3), np.uint8), [np.ones((2, 4, 3))] * 3),
    ],
    ids=["curves", "confusion", "mistakes", "reliability", "layer", "wide", "high", "deformations"],
)
def test_a_picture_opens_in_the_size_it_was_drawn_in(figure: Figure) -> None:
    width, height = png_size(png(figure))
    assert (width, height) == pytest.approx(110 * figure.get_size_inches(), abs=1)
    assert 50 < width < 1200
    assert 50 < height < 1200


@pytest.mark.parametrize(
    "history",
    [
        records(1),
        records(4),
        (records(1)[0], *records(4, 0, 0)[1:]),
        records(2, 1e-30, 1e30),
    ],
    ids=["one epoch", "several", "nothing left to learn", "far apart"],
)
def test_the_curves_have_a_point_an_epoch(history: tuple[EpochRecord, ...]) -> None:
    figure = draw_curves(history)
    figure.canvas.draw()
    epochs = [record.epoch for record in history]
    for axes in figure.axes:
        for curve in axes.lines:
            np.testing.assert_array_equal(np.asarray(curve.get_xdata()), epochs)
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 1]
    np.testing.assert_array_equal(line(figure, 0, 0), [r.training_loss for r in history])
    np.testing.assert_array_equal(line(figure, 0, 1), [r.validation_loss for r in history])
    np.testing.assert_array_equal(line(figure, 1), [100 * r.validation_accuracy for r in history])
    np.testing.assert_array_equal(line(figure, 2), [r.learning_rate for r in history])


@pytest.mark.parametrize("shape", [(12,), (6, 2), (3, 4, 3), (2, 2, 2, 2)], ids=str)
def test_images_of_any_shape_can_be_shown(shape: tuple[int, ...]) -> None:
    test = toy_problem(3, shape=shape)
    figure = draw_mistakes(test, np.eye(3)[(test.labels + 1) % 3], ["a", "b", "c"])
    figure.canvas.draw()
    assert shown(figure).shape == (shape[0], math.prod(shape[1:]))


def test_mistakes_are_shown_surest_first() -> None:
    test = replace(toy_problem(4), labels=np.array([0, 1, 2, 0]))
    probabilities = np.array([[0.2, 0.6, 0.2], [0.05, 0.9, 0.05], [0.8, 0.1, 0.1], [0.0, 0.3, 0.7]])
    figure = draw_mistakes(test, probabilities, ["a", "b", "c"])
    assert titles(figure) == ["c, read a\n80.0%", "a, read c\n70.0%", "a, read b\n60.0%"]


def test_only_mistakes_are_shaded() -> None:
    matrix = np.array([[900, 1], [3, 800]])
    figure = draw_confusion(matrix, ["a", "b"])
    np.testing.assert_array_equal(shown(figure), [[0, 1], [3, 0]])
    assert matrix.tolist() == [[900, 1], [3, 800]]


def test_reliability_has_a_point_for_each_level_of_confidence_that_occurs() -> None:
    test = replace(toy_problem(4), labels=np.array([0, 0, 1, 1]))
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    figure = draw_reliability(test, probabilities)
    points = figure.axes[0].lines[1]
    np.testing.assert_allclose(np.asarray(points.get_xdata()), [0.6, 0.9])
    np.testing.assert_allclose(np.asarray(points.get_ydata()), [1, 2 / 3])
    heights = [
        bar.get_bbox().height for bar in figure.axes[1].patches if isinstance(bar, Rectangle)
    ]
    assert sorted(heights)[-3:] == [0, 1, 3]


@pytest.mark.parametrize(
    ("units", "tiles_shown"), [(1, 1), (7, 7), (64, 64), (65, 64), (200, 64)], ids=str
)
def test_the_units_of_largest_norm_are_shown_largest_first(units: int, tiles_shown: int) -> None:
    model = first_layer((5, 4), units)
    weights = model.state_dict()["0.weight"]
    strongest = sorted(range(units), key=lambda unit: -float(np.linalg.norm(weights[unit])))
    found = tiles(draw_first_layer(model), 5, 4)
    assert len(found) == tiles_shown
    for tile, unit in zip(found, strongest, strict=False):
        np.testing.assert_array_equal(tile, weights[unit].reshape(5, 4))


def test_all_units_share_one_scale_with_white_at_0() -> None:
    model = first_layer((5, 4), 9)
    weights = model.state_dict()["0.weight"]
    weights[3, 7] = -2.5
    image = draw_first_layer(model).axes[0].images[0]
    assert image.get_clim() == (-2.5, 2.5)
    nothing, positive, negative = image.to_rgba(np.array([0.0, 2.0, -2.0]))[:, :3]
    np.testing.assert_allclose(nothing, 1, atol=0.04)
    assert positive.argmax() == 0
    assert negative.argmax() == 2


def test_a_first_layer_of_zeros_can_be_drawn() -> None:
    model = first_layer((5, 4), 2)
    model.state_dict()["0.weight"][...] = 0
    png_size(png(draw_first_layer(model)))


def test_each_original_stands_above_its_copies() -> None:
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    copies = [rng.random((3, 5, 4), dtype=np.float32) for _ in range(2)]
    figure = draw_deformations(originals, copies)
    expected = np.concatenate([originals / 255, *copies])
    np.testing.assert_allclose(tiles(figure, 5, 4), expected, rtol=1e-6)
    assert figure.axes[0].images[0].get_clim() == (0, 1)
