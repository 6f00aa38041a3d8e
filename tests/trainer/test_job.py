"""The whole job: it publishes what it measured, resumes to the same bytes, and fails cleanly."""

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
from nncore.repository import ModelRepository
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
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip drawing the report, which takes seconds."""
    monkeypatch.setattr(module, "make_report", lambda *_, **__: {"README.md": b"# a card"})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    dataset = save_npz(tmp_path / "letters.npz", test_images=TEST.images, test_labels=TEST.labels)
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


def with_dataset(job: Job, path: Path, **arrays: Any) -> Job:
    return replace(job, dataset=str(save_npz(path, **arrays)))


@pytest.mark.slow
def test_a_version_is_published_with_its_report(job: Job) -> None:
    recipe = replace(job.recipe, augmentation=DEFAULT_STRENGTH)
    published = run(replace(job, recipe=recipe))
    assert (published.manifest.name, published.manifest.version) == ("letters", 1)
    files = {"model.json", "model.safetensors", "report", "report/README.md"}
    pictures = ["confusion", "curves", "deformations", "first_layer", "mistakes", "reliability"]
    report = {"report/metrics.jsonl", *(f"report/{name}.png" for name in pictures)}
    assert {*tree(job.model_dir / "letters" / "1")} == files | report


@pytest.mark.usefixtures("no_report")
def test_the_manifest_has_the_provenance_and_the_metrics_of_the_loaded_network(job: Job) -> None:
    run(replace(job, seed=5, num_classes=5))
    loaded = ModelRepository(job.model_dir).load("letters")
    manifest, provenance = loaded.manifest, loaded.manifest.provenance
    assert (manifest.layers, manifest.input_shape) == ([12, 8, 5], [4, 3])
    assert manifest.labels == ["0", "1", "2", "3", "4"]
    assert len(manifest.probes) == PROBES
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
    assert (provenance["training"]["images"], provenance["training"]["epochs"]) == (110, 2)
    again, metrics = evaluate(loaded.model, TEST.as_dataset()), provenance["metrics"]
    assert (metrics["test"]["images"], metrics["test"]["accuracy"]) == (45, again.accuracy)
    assert metrics["test"]["loss"] == pytest.approx(again.loss, rel=1e-4)
    assert metrics["validation"]["images"] == 10


def test_no_image_is_both_in_training_and_test(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.arange(90, dtype=np.uint8).reshape(90, 1, 1)
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
    run(with_dataset(job, tmp_path / "x.npz", images=images, labels=np.arange(90) % 3))
    assert sorted(seen) == list(range(90))


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_data_set_needs_an_image_for_each_split(job: Job, tmp_path: Path, count: int) -> None:
    toy = toy_problem(count)
    job = with_dataset(job, tmp_path / "x.npz", images=toy.images, labels=toy.labels)
    job = replace(job, num_classes=3)
    if count < 4:
        with pytest.raises(TrainerError, match="expected"):
            run(job)
        assert tree(job.model_dir) == {}
    else:
        assert run(job).manifest.provenance["training"]["images"] == 2


@pytest.mark.usefixtures("no_report")
def test_a_seed_publishes_the_same_weights_to_the_byte(job: Job) -> None:
    first, same, other = (run(replace(job, seed=seed)).manifest for seed in (3, 3, 4))
    assert [first.version, same.version, other.version] == [1, 2, 3]
    assert first.sha256 == same.sha256 != other.sha256


@pytest.mark.usefixtures("no_report")
def test_each_epoch_is_logged(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "metrics.jsonl"
    run(replace(job, metrics_file=path, tensorboard_dir=tmp_path / "events"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert len(list((tmp_path / "events").iterdir())) == 1


class StoppedError(Exception):
    """Stands for a kill: nothing in the job handles it."""


def run_until(
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
    stop: type[BaseException] = StoppedError,
) -> None:
    """Run a job and raise an exception after the checkpoint of an epoch."""

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


@pytest.fixture
def long_job(job: Job) -> Job:
    return replace(job, recipe=replace(job.recipe, epochs=4, augmentation=DEFAULT_STRENGTH))


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("epoch", [1, 4])
def test_a_resumed_run_publishes_the_same_bytes(
    long_job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], epoch: int
) -> None:
    whole = run(long_job).manifest
    assert tree(long_job.checkpoint_dir) == {}
    run_until(long_job, monkeypatch, epoch)
    assert ModelRepository(long_job.model_dir).versions("letters") == [1]
    resumed = run(replace(long_job, resume=True)).manifest
    assert f"resuming after epoch {epoch} of 4\n" in capsys.readouterr().out
    assert resumed.sha256 == whole.sha256
    assert resumed.provenance["metrics"] == whole.provenance["metrics"]
    assert resumed.provenance["training"]["epochs"] == 4


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("change", [{"resume": False}, {"resume": True, "seed": 1}], ids=str)
def test_a_run_starts_at_epoch_1_without_resume_or_with_another_seed(
    long_job: Job,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    run_until(long_job, monkeypatch, 2)
    capsys.readouterr()
    run(replace(long_job, **change))
    out = capsys.readouterr().out
    assert "epoch 1/4" in out
    assert ("no checkpoint of this run" in out) == change["resume"]


@pytest.mark.usefixtures("no_report")
def test_training_continues_when_a_checkpoint_cannot_be_written(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RunFolder, "save", fail)
    assert run(job).manifest.version == 1
    assert "WARNING: no checkpoint of epoch 1: [Errno 28]" in capsys.readouterr().out


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("stop", [KeyboardInterrupt, TerminatedError])
def test_a_stopped_run_publishes_its_best_epoch_only_on_request(
    long_job: Job, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    run_until(long_job, monkeypatch, 3, stop)
    assert tree(long_job.model_dir) == {}
    job = replace(long_job, publish_best_on_stop=True)
    run_until(job, monkeypatch, 3, stop)
    stopped = ModelRepository(job.model_dir).load("letters").manifest
    assert stopped.provenance["training"]["epochs"] == 3
    whole = run(replace(job, resume=True)).manifest
    assert (whole.version, whole.provenance["training"]["epochs"]) == (2, 4)


@pytest.mark.usefixtures("no_report")
def test_a_version_whose_files_measure_differently_is_not_published(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def differ_at_the_last_call(answer: Any, data: LabelledImages) -> Any:
        nonlocal calls
        calls += 1
        answers = answer_all(answer, data)
        return answers[::-1] if calls == 3 else answers

    monkeypatch.setattr(module, "answer_all", differ_at_the_last_call)
    with pytest.raises(TrainerError, match=r"reproduce .*nothing was published"):
        run(job)
    assert calls == 3  # test, validation, and test with the written files
    assert tree(job.model_dir) == {}


@pytest.fixture
def small_sources(monkeypatch: pytest.MonkeyPatch, no_backoff: None, dead_mirror: str) -> None:
    """Few synthetic digits, a small MNIST, and a mirror that is down."""
    small = small_mnist()

    def load(data_dir: Path | None, cache_dir: Path, _mirrors: object) -> ImageData:
        return load_mnist(data_dir, cache_dir, [dead_mirror], small.files)

    monkeypatch.setattr(sources, "SYNTHETIC_TRAIN_IMAGES", 60)
    monkeypatch.setattr(sources, "SYNTHETIC_TEST_IMAGES", 20)
    monkeypatch.setattr(sources, "load_mnist", load)


@pytest.mark.usefixtures("small_sources", "no_report")
@pytest.mark.parametrize("dataset", ["auto", "synthetic"])
def test_synthetic_digits_are_never_published_as_mnist(job: Job, dataset: str) -> None:
    job = replace(job, dataset=dataset)
    with pytest.raises(TrainerError, match="other than 'mnist' for synthetic"):
        run(replace(job, model_name="mnist"))
    assert tree(job.model_dir) == {}
    manifest = run(job).manifest
    assert (manifest.name, manifest.layers) == ("synthetic", [784, 8, 10])
    assert run(replace(job, model_name="my-model.v2")).manifest.name == "my-model.v2"


@pytest.mark.parametrize("folder", ["models", "checkpoints"])
def test_a_folder_that_is_not_writable_is_reported_before_training(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    (tmp_path / folder).write_text("a file")
    with pytest.raises(TrainerError, match=rf"writable .*{folder}.*choose another with --"):
        run(job)
    assert "epoch" not in capsys.readouterr().out


def test_an_error_while_publishing_names_the_remedy(
    job: Job, monkeypatch: pytest.MonkeyPatch, no_report: None
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ModelRepository, "publish", fail)
    with pytest.raises(TrainerError, match=r"No space left.*--resume"):
        run(job)
