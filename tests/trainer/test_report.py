"""The report of a version: pictures that open, a matrix that counts, a card with the numbers."""

import math
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from nncore import EpochResult, Evaluation, FCModel, scale_pixels, softmax
from tests.trainer.data import toy_problem
from trainer.labelled_images import LabelledImages
from trainer.report import (
    confusion_matrix,
    draw_confusion,
    draw_curves,
    draw_mistakes,
    make_report,
)

HISTORY = [
    EpochResult(2.0 / epoch, Evaluation(9.0 / epoch, 50 + epoch, 60)) for epoch in range(1, 5)
]
PROVENANCE: dict[str, Any] = {
    "metrics": {
        "validation": {
            "images": 5000,
            "accuracy": 0.98764,
            "loss": 0.04321,
            "calibration_error": 0.00456,
        },
        "test": {
            "images": 10000,
            "accuracy": 0.98123,
            "loss": 0.05678,
            "calibration_error": 0.00345,
        },
    },
    "dataset": {"name": "letters", "digests": {"letters.npz": "ab" * 32}},
    "recipe": {"name": "default", "epochs": 4, "hidden_sizes": (8, 6), "seed": 7},
}
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the time of drawing, for tests that read the card."""
    monkeypatch.setattr("trainer.report._png", lambda _figure: b"")


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


def report(test: LabelledImages, classes: int = 3) -> dict[str, bytes]:
    model = FCModel(test.images.shape[1:], (8,), classes, rng=np.random.default_rng(0))
    labels = [f"c{k}" for k in range(classes)]
    probabilities = model.predict(scale_pixels(test.images)).T
    return make_report("letters", probabilities, HISTORY, test, labels, PROVENANCE)


def test_confusion_counts_what_is_read_as_what() -> None:
    targets = np.array([0, 0, 0, 1, 1, 3, 3, 3])
    predictions = np.array([0, 0, 2, 1, 0, 3, 3, 1])
    matrix = confusion_matrix(targets, predictions, 4)
    assert matrix.tolist() == [[2, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 2]]


def test_the_files_are_a_card_and_four_pictures_of_a_sensible_size() -> None:
    files = report(toy_problem(40))
    assert set(files) == {
        "README.md",
        "curves.png",
        "confusion.png",
        "mistakes.png",
        "reliability.png",
    }
    for name, content in files.items():
        if name.endswith(".png"):
            width, height = png_size(content)
            assert 100 < width < 2000
            assert 50 < height < 2000


@pytest.mark.usefixtures("no_pictures")
def test_the_card_contains_the_numbers() -> None:
    test = toy_problem(40)
    card = report(test)["README.md"].decode()
    assert card.startswith("# letters\n")
    for part in (
        "| validation | 5,000 | 98.76% | 0.0432 | 0.46% |",
        "| test | 10,000 | 98.12% | 0.0568 | 0.34% |",
        "trained on letters",
        "| epochs | 4 |",
        "| hidden_sizes | 8, 6 |",
        "| seed | 7 |",
        f"| letters.npz | {'ab' * 32} |",
        "(curves.png)",
        "(confusion.png)",
        "(mistakes.png)",
        "(reliability.png)",
    ):
        assert part in card


@pytest.mark.usefixtures("no_pictures")
def test_the_card_tells_each_classs_share_found_and_right_when_said() -> None:
    images = np.zeros((7, 1, 3), np.uint8)
    images[np.arange(7), 0, [0, 0, 0, 1, 1, 1, 0]] = 255
    test = LabelledImages(images, np.array([0, 0, 0, 0, 1, 1, 1]))
    probabilities = softmax(images.reshape(7, 3).T / 255).T
    card = make_report("x", probabilities, HISTORY, test, ["a", "b", "c"], PROVENANCE)["README.md"]
    assert b"| a | 4 | 75.00% | 75.00% |\n| b | 3 | 66.67% | 66.67% |\n| c | 0 | - | - |" in card


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("count", [1, 63, 64, 65, 129])
def test_any_number_of_test_images(count: int) -> None:
    test = toy_problem(count)
    rows = [
        line.split(" | ")[1]
        for line in report(test)["README.md"].decode().splitlines()
        if line.startswith("| c") and line[3].isdigit()
    ]
    assert rows == [f"{number}" for number in np.bincount(test.labels, minlength=3)]


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


@pytest.mark.usefixtures("no_pictures")
def test_every_one_of_many_classes_is_on_the_card() -> None:
    test = LabelledImages(np.zeros((60, 2, 2), np.uint8), np.arange(60) % 30)
    card = report(test, classes=30)["README.md"].decode()
    assert all(f"| c{k} | 2 |" in card for k in range(30))


@pytest.mark.parametrize(
    "history",
    [
        HISTORY[:1],
        HISTORY,
        [HISTORY[0], *[EpochResult(0.0, Evaluation(0.0, 60, 60))] * 3],
        [EpochResult(1e-30, Evaluation(1e30, 0, 60))] * 2,
    ],
    ids=["one epoch", "several", "nothing left to learn", "far apart"],
)
def test_the_curves_have_a_point_an_epoch(history: list[EpochResult]) -> None:
    figure = draw_curves(history)
    figure.canvas.draw()
    loss, accuracy = figure.axes
    assert [len(np.asarray(line.get_xdata())) for line in loss.lines] == [len(history)] * 2
    np.testing.assert_array_equal(
        np.asarray(accuracy.lines[0].get_ydata()),
        [100 * epoch.validation.accuracy for epoch in history],
    )
