"""Evaluation of a published version: metrics, report, default data set, mismatches."""

from dataclasses import replace
from pathlib import Path

import pytest

from nncore import evaluate
from tests.support.data import save_npz, toy_problem, tree
from tests.support.models import publish
from trainer.errors import DataError, TrainerError
from trainer.evaluation import EvaluationJob, evaluate_version
from trainer.labelled_images import ImageData
from trainer.versions import load_version

TEST = toy_problem(45, seed=9)


@pytest.fixture
def job(tmp_path: Path) -> EvaluationJob:
    publish(tmp_path / "models", (4, 3), "abc", data_set="letters")
    dataset = save_npz(tmp_path / "x.npz", test_images=TEST.images, test_labels=TEST.labels)
    return EvaluationJob(
        version=tmp_path / "models" / "mnist" / "1",
        dataset=str(dataset),
        data_dir=None,
        cache_dir=tmp_path / "cache",
        seed=0,
        report_dir=None,
    )


def test_the_test_images_are_measured_or_all_images_without_them(
    job: EvaluationJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = evaluate_version(job)
    expected = evaluate(load_version(job.version).model, TEST.as_dataset())
    assert (metrics["images"], metrics["accuracy"]) == (45, expected.accuracy)
    assert metrics["loss"] == pytest.approx(expected.loss, rel=1e-4)
    assert f"mnist 1 on x: {expected.accuracy:.2%}" in capsys.readouterr().out
    dataset = save_npz(tmp_path / "whole.npz")
    assert evaluate_version(replace(job, dataset=str(dataset)))["images"] == 120


@pytest.mark.slow
def test_the_report_has_no_parts_about_training(job: EvaluationJob, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "on-x"
    metrics = evaluate_version(replace(job, report_dir=folder))
    files = tree(folder)
    assert {"README.md", "confusion.png", "mistakes.png", "reliability.png"} <= set(files)
    assert not {"curves.png", "deformations.png", "metrics.jsonl"} & set(files)
    assert f"{metrics['accuracy']:.2%}" in files["README.md"].decode()
    with pytest.raises(TrainerError, match="expected a new folder for the report"):
        evaluate_version(replace(job, report_dir=folder))


@pytest.mark.parametrize("dataset", ["mnist", "synthetic"])
def test_the_default_data_set_is_that_of_the_training(
    job: EvaluationJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    publish(tmp_path / "others", (4, 3), "abc", data_set=dataset)
    loaded: list[str] = []

    def load(name: str, *_: object) -> ImageData:
        loaded.append(name)
        return ImageData(name, TEST, TEST, {})

    monkeypatch.setattr("trainer.evaluation.load_dataset", load)
    version = tmp_path / "others" / "mnist" / "1"
    evaluate_version(replace(job, version=version, dataset=None))
    assert loaded == [dataset]
    with pytest.raises(TrainerError, match=r"expected --dataset .* was trained on 'letters'"):
        evaluate_version(replace(job, dataset=None))


def test_a_version_trained_on_other_data_named_mnist_has_no_default_data_set(
    job: EvaluationJob, tmp_path: Path
) -> None:
    digests = {"train-images-idx3-ubyte": "0" * 64}
    publish(tmp_path / "others", (4, 3), "abc", data_set="mnist", digests=digests)
    version = tmp_path / "others" / "mnist" / "1"
    with pytest.raises(TrainerError, match=r"expected --dataset .* was trained on 'mnist'"):
        evaluate_version(replace(job, version=version, dataset=None))


def test_images_or_labels_that_do_not_fit_the_network_are_rejected(
    job: EvaluationJob, tmp_path: Path
) -> None:
    wide = save_npz(tmp_path / "wide.npz", images=toy_problem(shape=(3, 4)).images)
    with pytest.raises(DataError, match=r"expected images of shape \[4, 3\], got \[3, 4\]"):
        evaluate_version(replace(job, dataset=str(wide)))
    publish(tmp_path / "two", (4, 3), "ab")
    with pytest.raises(DataError, match=r"expected labels in 0\.\.1, got 2"):
        evaluate_version(replace(job, version=tmp_path / "two" / "mnist" / "1"))
