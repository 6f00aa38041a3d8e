"""The figures of a report: they render, and show the numbers that they are given."""

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

LABELS = ["a", "b", "c"]


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
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def titles(figure: Figure) -> list[str]:
    return [title for axes in figure.axes if (title := axes.get_title())]


def shown(figure: Figure) -> Array:
    """The array that the first axes shows; NaN in empty places."""
    array = figure.axes[0].images[0].get_array()
    assert array is not None
    return np.ma.filled(np.ma.asarray(array, float), np.nan)


def tiles(figure: Figure, height: int, width: int) -> list[Array]:
    """Cut a mosaic at its empty rows and columns."""
    mosaic = shown(figure)
    rows, columns = (np.flatnonzero(~np.isnan(mosaic).all(axis=axis)) for axis in (1, 0))
    tops, lefts = rows[::height], columns[::width]
    cut = [mosaic[top : top + height, left : left + width] for top in tops for left in lefts]
    return [tile for tile in cut if not np.isnan(tile).all()]


def first_layer(shape: tuple[int, ...], units: int) -> FCModel:
    return FCModel(shape, (units,), 3, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("shape", "units"), [((4, 3), 5), ((2, 40), 1), ((40, 2), 64)], ids=str)
def test_a_figure_renders_in_its_size(shape: tuple[int, int], units: int) -> None:
    figure = draw_first_layer(first_layer(shape, units))
    width, height = png_size(png(figure))
    assert (width, height) == pytest.approx(110 * figure.get_size_inches(), abs=1)
    assert 50 < width < 1200
    assert 50 < height < 1200


@pytest.mark.parametrize(
    "history",
    [records(1), (records(1)[0], *records(4, 0, 0)[1:]), records(2, 1e-30, 1e30), records(300)],
    ids=["one epoch", "losses of 0", "far apart", "long"],
)
def test_the_curves_have_one_point_per_epoch(history: tuple[EpochRecord, ...]) -> None:
    figure = draw_curves(history)
    figure.canvas.draw()
    curves = [curve for axes in figure.axes for curve in axes.lines]
    names = ("training_loss", "validation_loss", "validation_accuracy", "learning_rate")
    for curve, name in zip(curves, names, strict=True):
        factor = 100 if name == "validation_accuracy" else 1
        np.testing.assert_array_equal(np.asarray(curve.get_xdata()), [r.epoch for r in history])
        values = [factor * getattr(record, name) for record in history]
        np.testing.assert_array_equal(np.asarray(curve.get_ydata()), values)


@pytest.mark.parametrize("shape", [(12,), (6, 2), (2, 2, 3)], ids=str)
def test_mistakes_of_any_shape_are_shown_by_confidence(shape: tuple[int, ...]) -> None:
    test = replace(toy_problem(4, shape=shape), labels=np.array([0, 1, 2, 0]))
    probabilities = np.array([[0.2, 0.6, 0.2], [0.05, 0.9, 0.05], [0.8, 0.1, 0.1], [0.0, 0.3, 0.7]])
    figure = draw_mistakes(test, probabilities, LABELS)
    assert [title.split()[-1] for title in titles(figure)] == ["80.0%", "70.0%", "60.0%"]
    assert titles(figure)[0].startswith("c, predicted a")
    assert shown(figure).shape == (shape[0], math.prod(shape[1:]))
    perfect = draw_mistakes(test, np.eye(3)[test.labels], LABELS)
    assert (titles(perfect), perfect.get_suptitle()) == ([], "no mistakes")
    many = toy_problem(50)
    wrong = np.eye(3)[(many.labels + 1) % 3]
    assert len(titles(draw_mistakes(many, wrong, LABELS))) == 24


def test_the_confusion_matrix_shades_mistakes_and_shows_numbers() -> None:
    matrix = np.array([[900, 1], [3, 800]])
    figure = draw_confusion(matrix, ["a", "b"])
    np.testing.assert_array_equal(shown(figure), [[0, 1], [3, 0]])
    colors = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert colors == {"900": "black", "1": "black", "3": "white", "800": "black"}
    large = draw_confusion(np.eye(21, dtype=np.int64), [f"{k}" for k in range(21)])
    assert len(large.axes[0].texts) == 0


def test_reliability_has_a_point_for_each_confidence() -> None:
    test = replace(toy_problem(4), labels=np.array([0, 0, 1, 1]))
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    figure = draw_reliability(test, probabilities)
    points = figure.axes[0].lines[1]
    np.testing.assert_allclose(np.asarray(points.get_xdata()), [0.6, 0.9])
    np.testing.assert_allclose(np.asarray(points.get_ydata()), [1, 2 / 3])
    bars = [bar.get_bbox().height for bar in figure.axes[1].patches if isinstance(bar, Rectangle)]
    assert sorted(bars)[-3:] == [0, 1, 3]


@pytest.mark.parametrize(("units", "count"), [(1, 1), (7, 7), (65, 64)], ids=str)
def test_the_units_of_largest_norm_are_shown_largest_first(units: int, count: int) -> None:
    model = first_layer((5, 4), units)
    weights = model.state_dict()["0.weight"]
    strongest = sorted(range(units), key=lambda unit: -float(np.linalg.norm(weights[unit])))
    found = tiles(draw_first_layer(model), 5, 4)
    assert len(found) == count
    for tile, unit in zip(found, strongest, strict=False):
        np.testing.assert_array_equal(tile, weights[unit].reshape(5, 4))


def test_each_original_is_above_its_copies() -> None:
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    copies = [rng.random((3, 5, 4), dtype=np.float32) for _ in range(2)]
    figure = draw_deformations(originals, copies)
    expected = np.concatenate([originals / 255, *copies])
    np.testing.assert_allclose(tiles(figure, 5, 4), expected, rtol=1e-6)
    original, deformed = figure.axes[0].get_yticks()
    assert original < float(np.asarray(figure.axes[0].lines[0].get_ydata())[0]) < deformed
