"""The whole job: what it publishes is what it measured, and nothing where anything fails."""

import errno
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncore import evaluate
from nncore.repository import ModelRepository, RepositoryError
from tests.support.data import save_npz, small_mnist, toy_problem, tree
from trainer import job as module
from trainer import sources
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.checkpoint import RunFolder
from trainer.errors import TrainerError
from trainer.fit import fit
from trainer.history import EpochRecord
from trainer.job import PROBES, Job, run
from trainer.labelled_images import ImageData, LabelledImages
from trainer.measurement import answer_all
from trainer.mnist import load_mnist
from trainer.recipe import Recipe
from trainer.signals import TerminatedError
from trainer.training_state import TrainingState

RECIPE = Recipe(hidden_sizes=(8,), learning_rate=0.02, batch_size=16, epochs=2, augmentation=None)
TEST = toy_problem(45, seed=9)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the time of drawing, for tests that look at something else."""
    monkeypatch.setattr(module, "make_report", lambda *_, **__: {"README.md": b"# a card"})


def a_job(tmp_path: Path, dataset: str | Path | None = None) -> Job:
    if dataset is None:
        dataset = save_npz(
            tmp_path / "letters.npz", test_images=TEST.images, test_labels=TEST.labels
        )
    return Job(
        dataset=str(dataset),
        data_dir=None,
        cache_dir=tmp_path / "cache",
        checkpoint_dir=tmp_path / "checkpoints",
        model_dir=tmp_path / "models",
        model_name=None,
        num_classes=None,
        recipe=RECIPE,
        recipe_name="default",
        seed=0,
    )


def test_a_version_is_published_under_the_data_sets_name_with_its_report(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    recipe = replace(job.recipe, augmentation=DEFAULT_STRENGTH)
    published = run(replace(job, recipe=recipe))
    assert (published.manifest.name, published.manifest.version) == ("letters", 1)
    assert sorted(tree(tmp_path / "models")) == [
        "letters",
        "letters/1",
        "letters/1/model.json",
        "letters/1/model.safetensors",
        "letters/1/report",
        "letters/1/report/README.md",
        "letters/1/report/confusion.png",
        "letters/1/report/curves.png",
        "letters/1/report/deformations.png",
        "letters/1/report/first_layer.png",
        "letters/1/report/metrics.jsonl",
        "letters/1/report/mistakes.png",
        "letters/1/report/reliability.png",
    ]


@pytest.mark.usefixtures("no_pictures")
class TestWithoutPictures:
    @pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b"])
    def test_a_name_that_cannot_be_a_models_is_refused_before_training(
        self, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(ValueError, match="expected a model name"):
            run(replace(a_job(tmp_path), model_name=name))
        assert "epoch" not in capsys.readouterr().out
        assert tree(tmp_path / "models") == {}

    def test_what_is_published_says_where_it_comes_from(self, tmp_path: Path) -> None:
        run(replace(a_job(tmp_path), seed=5))
        manifest = ModelRepository(tmp_path / "models").load("letters").manifest
        assert manifest.layers == [12, 8, 3]
        assert manifest.input_shape == [4, 3]
        assert manifest.labels == ["0", "1", "2"]
        assert len(manifest.probes) == PROBES
        provenance = manifest.provenance
        assert provenance["recipe"] == {
            "name": "default",
            "hidden_sizes": [8],
            "learning_rate": 0.02,
            "momentum": 0.9,
            "schedule": "cosine",
            "warmup": 0,
            "batch_size": 16,
            "epochs": 2,
            "patience": None,
            "augmentation": None,
            "seed": 5,
        }
        assert provenance["dataset"]["name"] == "letters"
        assert set(provenance["dataset"]["digests"]) == {"letters.npz"}
        assert provenance["training"]["images"] == 110
        assert provenance["training"]["epochs"] == 2
        assert provenance["training"]["seconds"] >= 0

    def test_the_metrics_are_those_of_the_network_that_loads(self, tmp_path: Path) -> None:
        run(a_job(tmp_path))
        loaded = ModelRepository(tmp_path / "models").load("letters")
        again = evaluate(loaded.model, TEST.as_dataset())
        metrics = loaded.manifest.provenance["metrics"]
        assert metrics["test"]["images"] == again.total == 45
        assert metrics["test"]["accuracy"] == again.accuracy
        assert metrics["test"]["loss"] == pytest.approx(again.loss, rel=1e-4)
        assert metrics["validation"]["images"] == 10
        assert 0 <= metrics["validation"]["accuracy"] <= 1

    def test_no_image_both_trains_and_tests(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = np.arange(90, dtype=np.uint8).reshape(90, 1, 1)
        path = save_npz(tmp_path / "x.npz", images=images, labels=np.arange(90) % 3)
        seen: list[int] = []

        def watch_fit(
            state: TrainingState,
            recipe: Recipe,
            train: LabelledImages,
            valid: LabelledImages,
            after_epoch: Sequence[Callable[[EpochRecord], None]],
        ) -> None:
            seen.extend([*train.images.ravel(), *valid.images.ravel()])
            fit(state, recipe, train, valid, after_epoch)

        def watch_report(*arguments: Any, **_: Any) -> dict[str, bytes]:
            seen.extend(arguments[3].images.ravel())
            return {}

        monkeypatch.setattr(module, "fit", watch_fit)
        monkeypatch.setattr(module, "make_report", watch_report)
        run(a_job(tmp_path, path))
        assert sorted(seen) == list(range(90))

    def test_more_classes_than_labels_may_be_asked_for(self, tmp_path: Path) -> None:
        manifest = run(replace(a_job(tmp_path), num_classes=5)).manifest
        assert manifest.labels == ["0", "1", "2", "3", "4"]
        assert manifest.layers == [12, 8, 5]

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_a_set_too_small_to_hold_images_back_is_refused(
        self, tmp_path: Path, count: int
    ) -> None:
        toy = toy_problem(count)
        path = save_npz(tmp_path / "x.npz", images=toy.images, labels=toy.labels)
        with pytest.raises(TrainerError, match="expected"):
            run(replace(a_job(tmp_path, path), num_classes=3))
        assert tree(tmp_path / "models") == {}

    @pytest.mark.parametrize("shape", [(7,), (3, 3, 3)], ids=str)
    def test_images_of_any_shape_train(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        toy = toy_problem(shape=shape)
        path = save_npz(tmp_path / "x.npz", images=toy.images)
        assert run(a_job(tmp_path, path)).manifest.input_shape == list(shape)

    def test_a_seed_publishes_the_same_weights_to_the_byte(self, tmp_path: Path) -> None:
        job = a_job(tmp_path)
        for seed in (3, 3, 4):
            run(replace(job, seed=seed))
        first, same, other = (
            (tmp_path / "models" / "letters" / version / "model.safetensors").read_bytes()
            for version in "123"
        )
        assert first == same
        assert first != other


class StoppedError(Exception):
    """Stands for a kill: nothing of the job handles it."""


@pytest.mark.usefixtures("no_pictures")
class TestStopping:
    def run_until(
        self,
        job: Job,
        monkeypatch: pytest.MonkeyPatch,
        epoch: int,
        stop: type[BaseException] = StoppedError,
    ) -> None:
        """Run a job and end it by an exception after an epoch's checkpoint."""

        def stopping_fit(
            state: TrainingState,
            recipe: Recipe,
            train: LabelledImages,
            valid: LabelledImages,
            after_epoch: Sequence[Callable[[EpochRecord], None]],
        ) -> None:
            def end(record: EpochRecord) -> None:
                if record.epoch == epoch:
                    raise stop

            fit(state, recipe, train, valid, [*after_epoch, end])

        with monkeypatch.context() as patch:
            patch.setattr(module, "fit", stopping_fit)
            with pytest.raises(stop):
                run(job)

    def long_job(self, tmp_path: Path) -> Job:
        job = a_job(tmp_path)
        return replace(job, recipe=replace(job.recipe, epochs=6, augmentation=DEFAULT_STRENGTH))

    @pytest.mark.parametrize("epoch", [1, 3, 6])
    def test_a_resumed_run_publishes_the_same_bytes(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        epoch: int,
    ) -> None:
        job = self.long_job(tmp_path)
        whole = run(job).manifest
        self.run_until(job, monkeypatch, epoch)
        assert ModelRepository(job.model_dir).versions("letters") == [1]
        capsys.readouterr()
        resumed = run(replace(job, resume=True)).manifest
        assert f"resuming after epoch {epoch} of 6\n" in capsys.readouterr().out
        assert resumed.sha256 == whole.sha256
        assert resumed.provenance["metrics"] == whole.provenance["metrics"]
        assert resumed.provenance["training"]["epochs"] == 6

    def test_with_nothing_to_resume_it_says_so_and_begins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        job = replace(self.long_job(tmp_path), resume=True)
        self.run_until(job, monkeypatch, 2)
        run(replace(job, seed=1))
        out = capsys.readouterr().out
        assert out.count("no checkpoint of a run with these settings") == 2
        assert "epoch 1/6" in out

    def test_a_checkpoint_that_cannot_be_written_is_told_and_training_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(RunFolder, "save", fail)
        assert run(a_job(tmp_path)).manifest.version == 1
        out = capsys.readouterr().out
        assert "WARNING: no checkpoint of epoch 1: [Errno 28] No space left on device\n" in out

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, TerminatedError])
    def test_the_best_epoch_of_a_stopped_run_is_published_where_that_is_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
    ) -> None:
        job = self.long_job(tmp_path)
        self.run_until(job, monkeypatch, 3, stop)
        assert tree(tmp_path / "models") == {}
        job = replace(job, publish_best_on_stop=True)
        self.run_until(job, monkeypatch, 3, stop)
        stopped = ModelRepository(job.model_dir).load("letters").manifest
        assert stopped.provenance["training"]["epochs"] == 3
        whole = run(replace(job, resume=True)).manifest
        assert (whole.version, whole.provenance["training"]["epochs"]) == (2, 6)


@pytest.mark.usefixtures("no_pictures")
def test_a_version_that_reads_back_otherwise_than_measured_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_job(tmp_path)
    calls = 0

    def answer_worse_the_last_time(answer: Any, data: LabelledImages) -> Any:
        nonlocal calls
        calls += 1
        answers = answer_all(answer, data)
        return answers[::-1] if calls == 3 else answers

    monkeypatch.setattr(module, "answer_all", answer_worse_the_last_time)
    with pytest.raises(TrainerError, match=r"expected the files read back to measure .*published"):
        run(job)
    assert calls == 3  # test, validation, test read back
    assert tree(tmp_path / "models") == {}


@pytest.mark.usefixtures("no_pictures")
def test_each_epoch_is_told_in_json_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "metrics.jsonl"
    run(replace(a_job(tmp_path), metrics_file=path, tensorboard_dir=tmp_path / "events"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert all(0 < record["validation_accuracy"] <= 1 for record in records)
    assert len(list((tmp_path / "events").iterdir())) == 1


@pytest.fixture
def small_sources(monkeypatch: pytest.MonkeyPatch, no_backoff: None, dead_mirror: str) -> None:
    """Few synthetic digits, a small MNIST, and mirrors that are down."""
    small = small_mnist()

    def load(data_dir: Path | None, cache_dir: Path, _mirrors: object) -> ImageData:
        return load_mnist(data_dir, cache_dir, [dead_mirror], small.files)

    monkeypatch.setattr(sources, "SYNTHETIC_TRAIN_IMAGES", 60)
    monkeypatch.setattr(sources, "SYNTHETIC_TEST_IMAGES", 20)
    monkeypatch.setattr(sources, "load_mnist", load)


@pytest.mark.usefixtures("small_sources", "no_pictures")
@pytest.mark.parametrize("dataset", ["auto", "synthetic"])
class TestSyntheticDigits:
    def test_they_are_published_as_synthetic(self, tmp_path: Path, dataset: str) -> None:
        manifest = run(a_job(tmp_path, dataset)).manifest
        assert (manifest.name, manifest.layers) == ("synthetic", [784, 8, 10])
        assert [path.name for path in (tmp_path / "models").iterdir()] == ["synthetic"]
        assert manifest.provenance["dataset"]["name"] == "synthetic"

    def test_they_never_claim_mnists_name(
        self, tmp_path: Path, dataset: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(TrainerError, match="does not claim mnist for synthetic"):
            run(replace(a_job(tmp_path, dataset), model_name="mnist"))
        assert "epoch" not in capsys.readouterr().out
        assert tree(tmp_path / "models") == {}


@pytest.mark.usefixtures("small_sources", "no_pictures")
def test_mnist_is_published_as_mnist(tmp_path: Path) -> None:
    for name, content in small_mnist().contents.items():
        (tmp_path / name).write_bytes(content)
    job = replace(a_job(tmp_path, "auto"), data_dir=tmp_path)
    manifest = run(job).manifest
    assert manifest.name == "mnist"
    assert manifest.provenance["metrics"]["test"]["images"] == 20


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("batch_size", [16, 1000])
def test_training_that_diverges_leaves_the_repository_as_it_was(
    tmp_path: Path, batch_size: int, epochs: int
) -> None:
    job = a_job(tmp_path)
    run(job)
    before = tree(tmp_path / "models")
    recipe = replace(
        RECIPE,
        learning_rate=1e300,
        momentum=0,
        schedule="constant",
        batch_size=batch_size,
        epochs=epochs,
    )
    for name in ("letters", "new"):
        with pytest.raises((TrainerError, RepositoryError)):
            run(replace(job, model_name=name, recipe=recipe))
    assert tree(tmp_path / "models") == before


def test_a_place_that_cannot_be_written_is_found_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(TrainerError, match=r"model repository .*models.*--model-dir"):
        run(a_job(tmp_path))
    assert capsys.readouterr().out == ""


def test_a_folder_for_checkpoints_that_cannot_be_is_found_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(TrainerError, match=r"folder for checkpoints .*--checkpoint-dir"):
        run(a_job(tmp_path))
    assert "epoch" not in capsys.readouterr().out
    assert tree(tmp_path / "models") == {}
