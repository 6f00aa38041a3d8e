"""The whole job: it publishes what it measured, resumes to the same bytes, and fails cleanly."""

import errno
import fcntl
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from nncore import evaluate, scale_pixels
from nncore.repository import ModelRepository, PublishedModel
from tests.support.data import save_npz, toy_problem, tree
from trainer import job as module
from trainer import sources
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.checkpoint import RunFolder
from trainer.errors import DownloadError, TrainerError
from trainer.fit import fit
from trainer.history import EpochRecord
from trainer.job import PROBES, Job, run
from trainer.measurement import measure
from trainer.recipe import Recipe
from trainer.signals import TerminatedError, raise_on_sigterm
from trainer.training_state import TrainingState

FULL_DISK = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
RECIPE = Recipe(hidden_sizes=(8,), learning_rate=0.02, batch_size=16, epochs=2, augmentation=None)
TEST = toy_problem(45, seed=9)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip drawing the report, which takes seconds."""
    monkeypatch.setattr("trainer.report.make_report", lambda *_, **__: {"README.md": b"# a card"})


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


@pytest.mark.slow
def test_a_version_is_published_with_its_report_and_each_epoch_is_logged(
    job: Job, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "metrics.jsonl"
    recipe = replace(job.recipe, augmentation=DEFAULT_STRENGTH)
    run(replace(job, recipe=recipe, metrics_file=log, tensorboard_dir=tmp_path / "events"))
    files = {"model.json", "model.safetensors", "report", "report/README.md"}
    pictures = ["confusion", "curves", "deformations", "first_layer", "mistakes", "reliability"]
    report = {"report/metrics.jsonl", *(f"report/{name}.png" for name in pictures)}
    published = tree(job.model_dir / "letters" / "1")
    assert {*published} == files | report
    assert log.read_bytes() == published["report/metrics.jsonl"]
    assert log.read_text().count("\n") == 2
    assert len(list((tmp_path / "events").iterdir())) == 1


@pytest.mark.usefixtures("no_report")
def test_the_manifest_has_the_provenance_and_the_metrics_of_the_loaded_network(job: Job) -> None:
    run(replace(job, seed=5, num_classes=5))
    loaded = ModelRepository(job.model_dir).load("letters")
    manifest, provenance = loaded.manifest, loaded.manifest.provenance
    assert (loaded.model.layer_sizes, manifest.input_shape) == ((12, 8, 5), [4, 3])
    assert manifest.labels == ["0", "1", "2", "3", "4"]
    assert len(manifest.probes) == PROBES
    recipe = {**vars(RECIPE), "hidden_sizes": [8], "name": "default", "seed": 5}
    assert provenance["recipe"] == recipe
    assert provenance["dataset"]["name"] == "letters"
    assert set(provenance["dataset"]["digests"]) == {"letters.npz"}
    assert (provenance["training"]["images"], provenance["training"]["epochs"]) == (110, 2)
    again, metrics = evaluate(loaded.model, TEST.as_dataset()), provenance["metrics"]
    assert (metrics["test"]["images"], metrics["test"]["accuracy"]) == (45, again.accuracy)
    assert metrics["test"]["loss"] == pytest.approx(again.loss, rel=1e-4)
    assert metrics["validation"]["images"] == 10


@pytest.mark.parametrize("count", [1, 3, 4, 90])
def test_every_image_is_in_one_split_and_no_split_is_empty(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    seen: list[int] = []

    def watch_fit(state: Any, recipe: Any, train: Any, valid: Any, *others: Any) -> None:
        seen.extend([*train.images.ravel(), *valid.images.ravel()])
        fit(state, recipe, train, valid, *others)

    def watch_report(*arguments: Any, **_: Any) -> dict[str, bytes]:
        seen.extend(arguments[3].images.ravel())
        return {}

    monkeypatch.setattr(module, "fit", watch_fit)
    monkeypatch.setattr("trainer.report.make_report", watch_report)
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1)
    dataset = save_npz(tmp_path / "x.npz", images=images, labels=np.arange(count) % 3)
    job = replace(job, dataset=str(dataset), num_classes=3)
    if count < 4:
        with pytest.raises(TrainerError, match="expected"):
            run(job)
        assert tree(job.model_dir) == {}
    else:
        run(job)
        assert sorted(seen) == list(range(count))


class StoppedError(Exception):
    """Stands for a kill: nothing in the job handles it."""


def run_until(
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
    stop: type[BaseException] = StoppedError,
) -> None:
    """Run a job and raise an exception after the checkpoint of an epoch."""

    def end(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise stop

    def stopping_fit(*arguments: Any) -> None:
        state, recipe, train, valid, after_epoch, teachers = arguments
        fit(state, recipe, train, valid, [*after_epoch, end], teachers)

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
    assert "epoch 1/4" in capsys.readouterr().out


@pytest.mark.usefixtures("no_report")
def test_a_finished_run_can_be_extended(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    short = run(job).manifest
    longer = replace(job, resume=True, recipe=replace(RECIPE, epochs=3, patience=9))
    assert run(longer).manifest.provenance["training"]["epochs"] == 3
    output = capsys.readouterr().out
    assert "resuming after epoch 2 of 3" in output
    assert output.count("epoch 3/3") == 1
    with pytest.raises(TrainerError, match=r"expected --epochs of 3 or more .* got 2"):
        run(replace(job, resume=True))
    assert run(job).manifest.sha256 == short.sha256  # without --resume it starts again


@pytest.mark.usefixtures("no_report")
def test_the_best_epoch_is_published(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit_with_zeros_as_best(state: TrainingState, *arguments: Any) -> None:
        fit(state, *arguments)
        state.best_weights = {k: np.zeros_like(v) for k, v in state.model.state_dict().items()}

    monkeypatch.setattr(module, "fit", fit_with_zeros_as_best)
    published = run(job)
    assert not any(value.any() for value in published.model.state_dict().values())
    assert published.manifest.provenance["training"]["best_epoch"] in (1, 2)


@pytest.mark.usefixtures("no_report")
def test_a_stop_ends_the_wait_for_the_lock_of_the_repository(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_on_sigterm()
    publish = ModelRepository.publish

    def publish_while_locked(*arguments: Any, **options: Any) -> PublishedModel:
        monkeypatch.setattr(fcntl, "flock", lambda *_: signal.raise_signal(signal.SIGTERM))
        return publish(*arguments, **options)

    monkeypatch.setattr(ModelRepository, "publish", publish_while_locked)
    with pytest.raises(TerminatedError):
        run(job)
    assert ModelRepository(job.model_dir).names() == []


@pytest.mark.usefixtures("no_report")
def test_a_stop_is_ignored_only_while_the_version_appears(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_on_sigterm()
    before, rename = signal.getsignal(signal.SIGTERM), Path.rename

    def stopped_rename(path: Path, target: Path) -> Path:
        signal.raise_signal(signal.SIGTERM)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stopped_rename)
    assert run(job).manifest.version == 1
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("no_report")
def test_training_continues_when_a_checkpoint_cannot_be_written(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(RunFolder, "save", Mock(side_effect=FULL_DISK))
    assert run(job).manifest.version == 1
    assert "WARNING: no checkpoint of epoch 1: [Errno 28]" in capsys.readouterr().out


@pytest.mark.usefixtures("no_report")
def test_an_error_while_publishing_names_the_remedy(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelRepository, "publish", Mock(side_effect=FULL_DISK))
    with pytest.raises(TrainerError, match=r"No space left.*--resume"):
        run(job)


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
    metrics = measure(np.eye(3), np.arange(3))
    # Of the test images, the validation images, and the test images with the written files.
    results = [metrics, metrics, {**metrics, "loss": 1.0}]
    monkeypatch.setattr(module, "measure", Mock(side_effect=results))
    with pytest.raises(TrainerError, match=r"reproduce .*nothing was published"):
        run(job)
    assert tree(job.model_dir) == {}


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("dataset", ["auto", "synthetic"])
def test_synthetic_digits_are_never_published_as_mnist(
    job: Job, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    monkeypatch.setattr(sources, "SYNTHETIC_TRAIN_IMAGES", 60)
    monkeypatch.setattr(sources, "SYNTHETIC_TEST_IMAGES", 20)
    monkeypatch.setattr(sources, "load_mnist", Mock(side_effect=DownloadError("no mirror")))
    job = replace(job, dataset=dataset)
    with pytest.raises(TrainerError, match="--model-name other than 'mnist' for 'synthetic'"):
        run(replace(job, model_name="mnist"))
    assert tree(job.model_dir) == {}
    published = run(job)
    assert (published.manifest.name, published.model.layer_sizes) == ("synthetic", (784, 8, 10))
    assert run(replace(job, model_name="my-model.v2")).manifest.name == "my-model.v2"


@pytest.mark.usefixtures("no_report")
def test_other_data_named_mnist_needs_another_model_name(job: Job, tmp_path: Path) -> None:
    job = replace(job, dataset=str(Path(job.dataset).rename(tmp_path / "mnist.npz")))
    with pytest.raises(TrainerError, match=r"--model-name other than 'mnist' for '.*/mnist'"):
        run(job)
    assert tree(job.model_dir) == {}
    provenance = run(replace(job, model_name="letters")).manifest.provenance
    assert provenance["dataset"]["name"] == f"{tmp_path.name}/mnist"


@pytest.mark.parametrize("folder", ["models", "checkpoints"])
def test_a_folder_that_is_not_writable_is_reported_before_training(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    (tmp_path / folder).write_text("a file")
    with pytest.raises(TrainerError, match=rf"writable .*{folder}.*choose another with --"):
        run(job)
    assert "epoch" not in capsys.readouterr().out


@pytest.mark.usefixtures("no_report")
def test_a_student_learns_from_its_teacher_what_wrong_labels_hide(job: Job, tmp_path: Path) -> None:
    taught = run(job)
    wrong = save_npz(tmp_path / "wrong.npz", images=TEST.images, labels=(TEST.labels + 1) % 3)
    recipe = replace(job.recipe, epochs=40, teacher_weight=1.0)
    teachers = (job.model_dir / taught.manifest.name / "1",)
    student = run(replace(job, dataset=str(wrong), recipe=recipe, teachers=teachers))
    images = scale_pixels(TEST.images)
    agrees = student.model.predict(images).argmax(0) == taught.model.predict(images).argmax(0)
    assert agrees.mean() > 0.9
    assert student.manifest.provenance["training"]["teachers"] == [
        {"name": "letters", "version": 1, "sha256": taught.manifest.sha256}
    ]
