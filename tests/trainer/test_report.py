"""The report of a version: a card with the numbers, and the pictures that it names."""

import json
import re
import struct
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from nncore import FCModel, scale_pixels, softmax
from tests.trainer.data import toy_problem
from trainer.figures import draw_deformations
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages
from trainer.report import confusion_matrix, make_report

HISTORY = [
    EpochRecord(epoch, 1e-3 / epoch, 2.0 / epoch, 3.0 / epoch, 1 - 0.1 / epoch, 1000.0, epoch)
    for epoch in range(1, 5)
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
    monkeypatch.setattr("trainer.report.png", lambda _figure: b"")


def png_size(content: bytes) -> tuple[int, int]:
    assert content.startswith(PNG_MAGIC)
    assert content.endswith(b"IEND\xaeB`\x82")
    assert content[12:16] == b"IHDR"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def model_for(test: LabelledImages, classes: int) -> FCModel:
    return FCModel(test.images.shape[1:], (8,), classes, rng=np.random.default_rng(0))


def report(
    test: LabelledImages, classes: int = 3, provenance: Any = PROVENANCE, **options: Any
) -> dict[str, bytes]:
    model = model_for(test, classes)
    labels = [f"c{k}" for k in range(classes)]
    probabilities = model.predict(scale_pixels(test.images)).T
    return make_report("letters", model, probabilities, test, labels, provenance, **options)


def test_confusion_counts_what_is_read_as_what() -> None:
    targets = np.array([0, 0, 0, 1, 1, 3, 3, 3])
    predictions = np.array([0, 0, 2, 1, 0, 3, 3, 1])
    matrix = confusion_matrix(targets, predictions, 4)
    assert matrix.tolist() == [[2, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 2]]


def test_the_pictures_are_those_that_the_card_names_and_of_a_sensible_size() -> None:
    test = toy_problem(40)
    deformations = draw_deformations(test.images[:3], [test.images[:3] / 255])
    files = report(test, history=HISTORY, deformations=deformations)
    pictures = {name for name in files if name.endswith(".png")}
    assert pictures == {
        "confusion.png",
        "curves.png",
        "deformations.png",
        "first_layer.png",
        "mistakes.png",
        "reliability.png",
    }
    assert set(re.findall(r"\]\((.*?)\)", files["README.md"].decode())) == pictures
    for name in pictures:
        width, height = png_size(files[name])
        assert 100 < width < 2000
        assert 50 < height < 2000
        assert len(files[name]) < 200_000


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("shape", "options", "missing"),
    [
        ((4, 3), {"history": HISTORY}, {"deformations.png"}),
        ((4, 3), {}, {"curves.png", "deformations.png"}),
        ((12,), {}, {"curves.png", "deformations.png", "first_layer.png"}),
    ],
)
def test_what_there_is_nothing_to_say_of_is_left_out(
    shape: tuple[int, ...], options: dict[str, Any], missing: set[str]
) -> None:
    files = report(toy_problem(40, shape=shape), **options)
    card = files["README.md"].decode()
    assert not missing & set(files)
    assert not any(name in card for name in missing)
    assert ("metrics.jsonl" in files) == ("history" in options)


@pytest.mark.usefixtures("no_pictures")
def test_the_history_is_kept_as_lines_of_json() -> None:
    lines = report(toy_problem(40), history=HISTORY)["metrics.jsonl"].decode().splitlines()
    assert [json.loads(line) for line in lines] == [asdict(record) for record in HISTORY]


@pytest.mark.usefixtures("no_pictures")
def test_the_card_contains_the_numbers() -> None:
    card = report(toy_problem(40))["README.md"].decode()
    assert card.startswith("# letters\n")
    for part in (
        "| validation | 5,000 | 98.76% | 0.0432 | 0.46% |",
        "| test | 10,000 | 98.12% | 0.0568 | 0.34% |",
        "images of letters apart: 4 x 3 pixels in, a probability for each of 3 classes out",
        "12-8-3, 131 weights",
        "The test images took no part in any choice.",
        "| epochs | 4 |",
        "| hidden_sizes | 8, 6 |",
        "| seed | 7 |",
        f"| letters.npz | {'ab' * 32} |",
    ):
        assert part in card


@pytest.mark.usefixtures("no_pictures")
def test_a_card_of_one_split_claims_nothing_of_another() -> None:
    provenance = {
        "metrics": {"test": PROVENANCE["metrics"]["test"]},
        "dataset": PROVENANCE["dataset"],
    }
    card = report(toy_problem(40), provenance=provenance)["README.md"].decode()
    assert "validation" not in card
    assert "took no part" not in card
    assert "## Recipe" not in card


@pytest.mark.usefixtures("no_pictures")
def test_the_card_tells_each_classs_share_found_and_right_when_said() -> None:
    images = np.zeros((7, 1, 3), np.uint8)
    images[np.arange(7), 0, [0, 0, 0, 1, 1, 1, 0]] = 255
    test = LabelledImages(images, np.array([0, 0, 0, 0, 1, 1, 1]))
    probabilities = softmax(images.reshape(7, 3).T / 255).T
    labels = ["a", "b", "c"]
    files = make_report("x", model_for(test, 3), probabilities, test, labels, PROVENANCE)
    expected = b"| a | 4 | 75.00% | 75.00% |\n| b | 3 | 66.67% | 66.67% |\n| c | 0 | - | - |"
    assert expected in files["README.md"]


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


@pytest.mark.usefixtures("no_pictures")
def test_every_one_of_many_classes_is_on_the_card() -> None:
    test = LabelledImages(np.zeros((60, 2, 2), np.uint8), np.arange(60) % 30)
    card = report(test, classes=30)["README.md"].decode()
    assert all(f"| c{k} | 2 |" in card for k in range(30))
