"""The report of a version: a card with the numbers, and a picture for each that it names."""

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
from trainer.report import make_report

HISTORY = records(4)
METRICS: dict[str, Any] = {
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
}
PROVENANCE: dict[str, Any] = {
    "metrics": METRICS,
    "dataset": {"name": "letters", "digests": {"letters.npz": "ab" * 32}},
    "recipe": {
        "name": "default",
        "epochs": 9,
        "hidden_sizes": (8, 6),
        "patience": None,
        "augmentation": {"rotation": 12, "kinds": ["a", "b"], "crop": None},
        "seed": 7,
    },
    "training": {"images": 55000, "epochs": 4, "seconds": 1234.5},
    "calibration": {"temperature": 1.36295},
}
MEASUREMENT: dict[str, Any] = {
    "metrics": {"test": METRICS["test"]},
    "dataset": {"name": "runes", "digests": {}},
}
WHEREVER_MEASURED = {"README.md", "confusion.png", "mistakes.png", "reliability.png"}


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the time of drawing, for tests that read the card."""
    monkeypatch.setattr("trainer.report.png", lambda _figure: b"")


def report(
    test: LabelledImages,
    classes: int = 3,
    provenance: dict[str, Any] = PROVENANCE,
    **optional: Any,
) -> dict[str, bytes]:
    model = FCModel(test.images.shape[1:], (8,), classes, rng=np.random.default_rng(0))
    labels = [f"c{k}" for k in range(classes)]
    probabilities = model.predict(scale_pixels(test.images)).T
    return make_report("letters", model, probabilities, test, labels, provenance, **optional)


def full_report() -> dict[str, bytes]:
    test = toy_problem(40)
    deformations = draw_deformations(test.images[:3], [scale_pixels(test.images[:3])])
    return report(test, history=HISTORY, deformations=deformations)


def headings(card: bytes) -> list[str]:
    return re.findall("^## (.*)$", card.decode(), re.MULTILINE)


def files_named(card: bytes) -> set[str]:
    """The pictures that a card shows, and the history where it speaks of it."""
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", card.decode())
    return {*pictures, *re.findall("metrics.jsonl", card.decode())}


def test_the_files_are_a_card_the_history_and_pictures_of_a_sensible_size() -> None:
    files = full_report()
    optional = {"curves.png", "metrics.jsonl", "first_layer.png", "deformations.png"}
    assert set(files) == WHEREVER_MEASURED | optional
    for name, content in files.items():
        if name.endswith(".png"):
            width, height = png_size(content)
            assert 100 < width < 2000
            assert 50 < height < 2000


@pytest.mark.usefixtures("no_pictures")
def test_the_card_contains_the_numbers() -> None:
    card = full_report()["README.md"].decode()
    assert card.startswith("# letters\n")
    for part in (
        "| validation | 5,000 | 98.76% | 0.0432 | 0.46% |",
        "| test | 10,000 | 98.12% | 0.0568 | 0.34% |",
        "trained on letters",
        "3 classes an image of 4 by 3 pixels shows: c0, c1, c2.",
        "12-8-3, of 131 parameters",
        "divided by 1.363,",
        "| epochs | 9 |",
        "| hidden_sizes | 8, 6 |",
        "| patience | none |",
        "| augmentation | rotation 12, kinds a, b, crop none |",
        "| seed | 7 |",
        "Training took 1,234 s: 55,000 images, 4 epochs.",
        f"| letters.npz | {'ab' * 32} |",
        "The test images took no part in any choice.",
    ):
        assert part in card


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("shape", "optional", "there"),
    [
        ((4, 3), {}, {"first_layer.png"}),
        ((12,), {}, set()),
        ((1, 12), {}, set()),
        ((2, 3, 2), {}, set()),
        ((12,), {"history": HISTORY}, {"curves.png", "metrics.jsonl"}),
    ],
    ids=["only measured", "flat", "one row", "colours", "history"],
)
def test_what_there_is_nothing_to_say_of_is_left_out(
    shape: tuple[int, ...], optional: dict[str, Any], there: set[str]
) -> None:
    files = report(toy_problem(9, shape=shape), **optional)
    assert set(files) == WHEREVER_MEASURED | there
    found = headings(files["README.md"])
    assert ("How it learned" in found) == ("curves.png" in files)
    assert ("What the first layer looks for" in found) == ("first_layer.png" in files)
    assert "What it was trained on" not in found


@pytest.mark.usefixtures("no_pictures")
def test_the_card_names_every_file_beside_it_and_no_other() -> None:
    for files in (full_report(), report(toy_problem(9, shape=(12,)))):
        assert files_named(files["README.md"]) == set(files) - {"README.md"}


@pytest.mark.usefixtures("no_pictures")
def test_a_measurement_on_other_images_claims_nothing_about_training() -> None:
    card = report(toy_problem(9), provenance=MEASUREMENT)["README.md"].decode()
    assert "measured here on runes" in card
    for claim in ("trained on runes", "validation", "took no part", "Training took", "SHA-256"):
        assert claim not in card
    assert "Recipe" not in headings(card.encode())


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("member", ["recipe", "training", "calibration"])
def test_any_further_part_of_the_provenance_may_be_missing(member: str) -> None:
    provenance = {name: value for name, value in PROVENANCE.items() if name != member}
    card = report(toy_problem(9), provenance=provenance)["README.md"].decode()
    absent = {"recipe": "| seed |", "training": "Training took", "calibration": "divided by"}
    assert [name for name, part in absent.items() if part not in card] == [member]


@pytest.mark.usefixtures("no_pictures")
def test_the_history_reads_back_from_its_lines() -> None:
    lines = full_report()["metrics.jsonl"].decode().splitlines()
    assert [EpochRecord(**json.loads(line)) for line in lines] == list(HISTORY)
    assert list(json.loads(lines[0])) == list(asdict(HISTORY[0]))


@pytest.mark.usefixtures("no_pictures")
def test_the_card_tells_each_classs_share_found_and_right_when_said() -> None:
    images = np.zeros((7, 1, 3), np.uint8)
    images[np.arange(7), 0, [0, 0, 0, 1, 1, 1, 0]] = 255
    test = LabelledImages(images, np.array([0, 0, 0, 0, 1, 1, 1]))
    probabilities = softmax(images.reshape(7, 3).T / 255).T
    model = FCModel((1, 3), (), 3, rng=np.random.default_rng(0))
    card = make_report("x", model, probabilities, test, ["a", "b", "c"], PROVENANCE)["README.md"]
    assert b"| a | 4 | 75.00% | 75.00% |\n| b | 3 | 66.67% | 66.67% |\n| c | 0 | - | - |" in card


@pytest.mark.usefixtures("no_pictures")
def test_every_one_of_many_classes_is_on_the_card() -> None:
    test = LabelledImages(np.zeros((60, 2, 2), np.uint8), np.arange(60) % 30)
    card = report(test, classes=30)["README.md"].decode()
    assert all(f"| c{k} | 2 |" in card for k in range(30))
    assert "30 classes an image of 2 by 2 pixels shows: c0, c1, c2, … c29." in card


@pytest.mark.usefixtures("no_pictures")
def test_a_bar_in_a_name_does_not_end_its_cell() -> None:
    dataset = {"name": "letters", "digests": {"a|b.npz": "00"}}
    card = report(toy_problem(9), provenance={**PROVENANCE, "dataset": dataset})["README.md"]
    assert rb"| a\|b.npz | 00 |" in card
