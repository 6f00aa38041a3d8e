"""The report of a version: a card with the numbers, and the figures that it names."""

import json
import re
from typing import Any

import numpy as np
import pytest

from nncore import FCModel, scale_pixels
from tests.support.data import toy_problem
from tests.trainer.test_figures import PNG, records
from trainer.figures import draw_deformations
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages
from trainer.report import make_report

HISTORY = records(4)
PROVENANCE: dict[str, Any] = {
    "metrics": {
        "validation": {
            "images": 5000,
            "accuracy": 0.98764,
            "loss": 0.04321,
            "calibration_error": 0.00456,
        },
        "test": {"images": 100, "accuracy": 0.98, "loss": 0.05678, "calibration_error": 0.00345},
    },
    "dataset": {"name": "letters", "digests": {"a|b.npz": "ab" * 32}},
    "recipe": {"name": "default", "hidden_sizes": (8, 6), "patience": None},
    "training": {"images": 55000, "epochs": 4, "seconds": 1234.5},
    "calibration": {"temperature": 1.36295},
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


@pytest.mark.slow
def test_a_report_has_a_card_with_the_numbers_the_history_and_every_figure_it_names() -> None:
    test = toy_problem(40)
    deformations = draw_deformations(test.images[:3], [scale_pixels(test.images[:3])])
    files = report(test, history=HISTORY, deformations=deformations)
    assert {*files} == ALWAYS | {
        *("curves.png", "metrics.jsonl", "first_layer.png", "deformations.png")
    }
    pictures = {name for name in files if name.endswith(".png")}
    assert all(files[name].startswith(PNG) for name in pictures)
    card = files["README.md"].decode()
    for part in (
        "| validation | 5,000 | 98.76% | 0.0432 | 0.46% |",
        "12-8-3, with 131 parameters",
        "1.363",
        "| hidden_sizes | 8, 6 |",
        rf"| a\|b.npz | {'ab' * 32} |",
    ):
        assert part in card
    assert {*re.findall(r"!\[[^]]+\]\(([^)]+)\)", card)} == pictures
    lines = files["metrics.jsonl"].decode().splitlines()
    assert [EpochRecord(**json.loads(line)) for line in lines] == HISTORY


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
def test_files_without_content_are_omitted(
    shape: tuple[int, ...], optional: dict[str, Any], files: set[str]
) -> None:
    assert {*report(toy_problem(9, shape=shape), **optional)} == ALWAYS | files


@pytest.mark.usefixtures("no_figures")
def test_a_measurement_without_training_needs_no_other_provenance() -> None:
    provenance = {
        "metrics": {"test": PROVENANCE["metrics"]["test"]},
        "dataset": {"name": "runes", "digests": {}},
    }
    card = report(toy_problem(9), provenance)["README.md"].decode()
    assert "measured on runes" in card
    assert "Training took" not in card


@pytest.mark.usefixtures("no_figures")
def test_the_card_has_recall_and_precision_of_each_class() -> None:
    test = LabelledImages(np.zeros((7, 1, 3), np.uint8), np.array([0, 0, 0, 0, 1, 1, 1]))
    probabilities = np.eye(3)[[0, 0, 0, 1, 1, 1, 0]]
    model = FCModel((1, 3), (), 3)
    card = make_report("x", model, probabilities, test, ["a", "b", "c"], PROVENANCE)["README.md"]
    assert b"| a | 4 | 75.00% | 75.00% |\n| b | 3 | 66.67% | 66.67% |\n| c | 0 | - | - |" in card
