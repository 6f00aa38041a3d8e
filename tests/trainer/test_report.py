"""The report of a version: a card with the numbers, and the figures that it names."""

import json
import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from nncore import FCModel, scale_pixels, softmax
from tests.support.data import toy_problem
from tests.trainer.test_figures import png_size, records
from trainer.figures import draw_deformations
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages
from trainer.report import confusion_matrix, make_report

HISTORY = records(4)
METRICS: dict[str, Any] = {
    "validation": {
        "images": 5000,
        "accuracy": 0.98764,
        "loss": 0.04321,
        "calibration_error": 0.00456,
    },
    "test": {"images": 10000, "accuracy": 0.98123, "loss": 0.05678, "calibration_error": 0.00345},
}
PROVENANCE: dict[str, Any] = {
    "metrics": METRICS,
    "dataset": {"name": "letters", "digests": {"a|b.npz": "ab" * 32}},
    "recipe": {
        "name": "default",
        "hidden_sizes": (8, 6),
        "patience": None,
        "augmentation": {"rotation": 12, "kinds": ["a", "b"], "crop": None},
    },
    "training": {"images": 55000, "epochs": 4, "seconds": 1234.5},
    "calibration": {"temperature": 1.36295},
}
MEASUREMENT: dict[str, Any] = {
    "metrics": {"test": METRICS["test"]},
    "dataset": {"name": "runes", "digests": {}},
}
ALWAYS = {"README.md", "confusion.png", "mistakes.png", "reliability.png"}


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip rendering, for tests that read the card."""
    monkeypatch.setattr("trainer.report.png", lambda _figure: b"")


def report(
    test: LabelledImages, provenance: dict[str, Any] = PROVENANCE, **optional: Any
) -> dict[str, bytes]:
    classes = int(test.labels.max()) + 1
    model = FCModel(test.images.shape[1:], (8,), classes, rng=np.random.default_rng(0))
    labels = [f"c{k}" for k in range(classes)]
    probabilities = model.predict(scale_pixels(test.images)).T
    return make_report("letters", model, probabilities, test, labels, provenance, **optional)


def full_report() -> dict[str, bytes]:
    test = toy_problem(40)
    deformations = draw_deformations(test.images[:3], [scale_pixels(test.images[:3])])
    return report(test, history=HISTORY, deformations=deformations)


def test_the_confusion_matrix_counts_true_and_predicted_classes() -> None:
    targets = np.array([0, 0, 0, 1, 1, 3, 3, 3])
    predictions = np.array([0, 0, 2, 1, 0, 3, 3, 1])
    matrix = confusion_matrix(targets, predictions, 4)
    assert matrix.tolist() == [[2, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 2]]


@pytest.mark.slow
def test_a_report_has_a_card_the_history_and_figures_of_a_sensible_size() -> None:
    files = full_report()
    assert set(files) == ALWAYS | {
        *("curves.png", "metrics.jsonl", "first_layer.png", "deformations.png")
    }
    for name, content in files.items():
        if name.endswith(".png"):
            width, height = png_size(content)
            assert 100 < width < 2000
            assert 50 < height < 2000


@pytest.mark.usefixtures("no_figures")
def test_the_card_contains_the_numbers_and_names_every_file() -> None:
    files = full_report()
    card = files["README.md"].decode()
    assert card.startswith("# letters\n")
    for part in (
        "| validation | 5,000 | 98.76% | 0.0432 | 0.46% |",
        "| test | 10,000 | 98.12% | 0.0568 | 0.34% |",
        "trained on letters",
        "images of 4 by 3 pixels into 3 classes: c0, c1, c2.",
        "12-8-3, with 131 parameters",
        "1.363",
        "| hidden_sizes | 8, 6 |",
        "| patience | none |",
        "| augmentation | rotation 12, kinds a, b, crop none |",
        "1,234 s: 55,000 images, 4 epochs.",
        rf"| a\|b.npz | {'ab' * 32} |",
    ):
        assert part in card
    named = {*re.findall(r"!\[[^]]+\]\(([^)]+)\)", card), *re.findall("metrics.jsonl", card)}
    assert named == set(files) - {"README.md"}
    lines = files["metrics.jsonl"].decode().splitlines()
    assert [EpochRecord(**json.loads(line)) for line in lines] == list(HISTORY)
    assert list(json.loads(lines[0])) == list(asdict(HISTORY[0]))


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("shape", "optional", "files"),
    [
        ((4, 3), {}, {"first_layer.png"}),
        ((1, 12), {}, set()),
        ((2, 3, 2), {}, set()),
        ((12,), {"history": HISTORY}, {"curves.png", "metrics.jsonl"}),
    ],
    ids=["two dimensions", "one row", "colours", "history"],
)
def test_files_and_sections_without_content_are_omitted(
    shape: tuple[int, ...], optional: dict[str, Any], files: set[str]
) -> None:
    found = report(toy_problem(9, shape=shape), **optional)
    assert set(found) == ALWAYS | files
    headings = re.findall("^## (.*)$", found["README.md"].decode(), re.MULTILINE)
    assert ("Training curves" in headings) == ("curves.png" in files)
    assert ("First layer" in headings) == ("first_layer.png" in files)
    assert "Augmentation" not in headings


@pytest.mark.usefixtures("no_figures")
def test_a_later_measurement_says_nothing_about_training() -> None:
    card = report(toy_problem(9), MEASUREMENT)["README.md"].decode()
    assert "measured on runes" in card
    for words in ("trained on runes", "validation", "Training took", "SHA-256", "## Recipe"):
        assert words not in card


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("member", ["recipe", "training", "calibration"])
def test_other_members_of_the_provenance_are_optional(member: str) -> None:
    provenance = {name: value for name, value in PROVENANCE.items() if name != member}
    card = report(toy_problem(9), provenance)["README.md"].decode()
    parts = {"recipe": "| patience |", "training": "Training took", "calibration": "divided by"}
    assert [name for name, part in parts.items() if part not in card] == [member]


@pytest.mark.usefixtures("no_figures")
def test_the_card_has_recall_and_precision_of_each_class() -> None:
    images = np.zeros((7, 1, 3), np.uint8)
    images[np.arange(7), 0, [0, 0, 0, 1, 1, 1, 0]] = 255
    test = LabelledImages(images, np.array([0, 0, 0, 0, 1, 1, 1]))
    probabilities = softmax(images.reshape(7, 3).T / 255).T
    model = FCModel((1, 3), (), 3, rng=np.random.default_rng(0))
    card = make_report("x", model, probabilities, test, ["a", "b", "c"], PROVENANCE)["README.md"]
    assert b"| a | 4 | 75.00% | 75.00% |\n| b | 3 | 66.67% | 66.67% |\n| c | 0 | - | - |" in card


@pytest.mark.usefixtures("no_figures")
def test_the_card_lists_every_one_of_many_classes() -> None:
    test = LabelledImages(np.zeros((60, 2, 2), np.uint8), np.arange(60) % 30)
    card = report(test)["README.md"].decode()
    assert all(f"| c{k} | 2 |" in card for k in range(30))
    assert "c0, c1, c2, … c29." in card
