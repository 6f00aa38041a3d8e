"""Evaluation: a published version on any data set, with what it needs to match."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nncore import FCModel, evaluate
from nncore.repository import ModelRepository
from tests.support.data import save_npz, toy_problem, tree
from trainer.errors import DataError, TrainerError
from trainer.evaluation import EvaluationJob, evaluate_version
from trainer.labelled_images import ImageData

TEST = toy_problem(45, seed=9)


def publish(folder: Path, trained_on: str, classes: int = 3) -> FCModel:
    model = FCModel((4, 3), (8,), classes, rng=np.random.default_rng(1))
    ModelRepository(folder).publish(
        "letters",
        model,
        labels=[f"c{k}" for k in range(classes)],
        probe_images=TEST.images[:2],
        provenance={
            "metrics": {"test": {"images": 1, "accuracy": 1, "loss": 0, "calibration_error": 0}},
            "dataset": {"name": trained_on, "digests": {"x": "ab" * 32}},
            "recipe": {"name": "default", "epochs": 4, "seed": 7},
        },
        report={},
    )
    return model


@pytest.fixture
def job(tmp_path: Path) -> EvaluationJob:
    publish(tmp_path / "models", "letters")
    dataset = save_npz(tmp_path / "x.npz", test_images=TEST.images, test_labels=TEST.labels)
    return EvaluationJob(
        version=tmp_path / "models" / "letters" / "1",
        dataset=str(dataset),
        data_dir=None,
        cache_dir=tmp_path / "cache",
        seed=0,
        report_dir=None,
    )


def test_it_measures_the_test_images(
    job: EvaluationJob, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = evaluate_version(job)
    again = evaluate(publish(job.cache_dir, "x"), TEST.as_dataset())
    assert (metrics["images"], metrics["accuracy"]) == (45, again.accuracy)
    assert metrics["loss"] == pytest.approx(again.loss, rel=1e-4)
    out = capsys.readouterr().out
    assert out.startswith(f"letters 1 on x: {again.accuracy:.2%} ({again.correct} of 45), loss ")
    assert out.count("\n") == 1


def test_the_report_is_a_trained_versions_without_what_only_training_knows(
    job: EvaluationJob, tmp_path: Path
) -> None:
    folder = tmp_path / "reports" / "on-x"
    metrics = evaluate_version(replace(job, report_dir=folder))
    files = tree(folder)
    assert {"README.md", "confusion.png", "mistakes.png", "reliability.png"} <= set(files)
    assert not {"curves.png", "deformations.png", "metrics.jsonl"} & set(files)
    card = files["README.md"].decode()
    assert card.startswith("# letters 1 on x\n")
    assert f"{metrics['accuracy']:.2%}" in card
    assert "x.npz" in card


def test_a_report_never_overwrites(job: EvaluationJob, tmp_path: Path) -> None:
    with pytest.raises(
        TrainerError, match=re.escape(f"a new folder for the report, got {tmp_path}")
    ):
        evaluate_version(replace(job, report_dir=tmp_path))


@pytest.mark.parametrize("dataset", ["mnist", "synthetic"])
def test_by_default_it_is_measured_on_what_it_was_trained_on(
    job: EvaluationJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    publish(tmp_path / "others", dataset)
    asked: list[str] = []

    def load(name: str, *_: object) -> ImageData:
        asked.append(name)
        return ImageData(name, TEST, TEST, {})

    monkeypatch.setattr("trainer.evaluation.load_dataset", load)
    version = tmp_path / "others" / "letters" / "1"
    evaluate_version(replace(job, version=version, dataset=None))
    assert asked == [dataset]


def test_a_set_that_cannot_be_found_again_is_asked_for(job: EvaluationJob) -> None:
    with pytest.raises(TrainerError, match=r"expected --dataset .* was trained on 'letters'"):
        evaluate_version(replace(job, dataset=None))


def test_images_of_another_shape_are_refused(job: EvaluationJob, tmp_path: Path) -> None:
    toy = toy_problem(shape=(3, 4))
    dataset = save_npz(tmp_path / "wide.npz", images=toy.images)
    with pytest.raises(DataError, match=r"expected images of shape \[4, 3\], got \[3, 4\]"):
        evaluate_version(replace(job, dataset=str(dataset)))


def test_labels_that_the_network_does_not_know_are_refused(
    job: EvaluationJob, tmp_path: Path
) -> None:
    publish(tmp_path / "two", "letters", classes=2)
    with pytest.raises(DataError, match=r"expected labels in 0\.\.1, got 2"):
        evaluate_version(replace(job, version=tmp_path / "two" / "letters" / "1"))
