"""The training job: load, split, train, measure, publish."""

import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nncore.repository import ModelRepository, PublishedModel
from trainer.augmentation import Augmentation, applies_to
from trainer.calibration import calibrate
from trainer.checkpoint import RunFolder
from trainer.distillation import Teachers
from trainer.epoch_logs import EpochLog, JsonLinesLog, TensorBoardLog
from trainer.errors import TrainerError
from trainer.fit import fit
from trainer.history import EpochRecord
from trainer.labelled_images import ImageData, LabelledImages
from trainer.measurement import answer_all, described, measure
from trainer.memory import keep_freed_memory
from trainer.mnist import MNIST
from trainer.progress import log
from trainer.recipe import Recipe
from trainer.signals import TerminatedError, handled_by
from trainer.sources import load_dataset
from trainer.training_state import TrainingState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALIDATION_SHARE = 1 / 12  # 5,000 of MNIST's 60,000
TEST_SHARE = 1 / 10  # of a data set without test images
PROBES = 4
_DEFORMED_COPIES = 4


@dataclass(frozen=True)
class Job:
    """The options of a training run.

    Attributes:
        dataset: "auto", "mnist", "synthetic", or a path.
        data_dir: A directory with MNIST's files.
        cache_dir: The directory for downloads.
        checkpoint_dir: The directory for checkpoints.
        model_dir: The model repository.
        model_name: The model to publish; the name of the data set when None.
        num_classes: The number of classes; one more than the highest label when None.
        recipe: The hyper-parameters.
        recipe_name: The name of the recipe.
        seed: The random seed.
        teachers: The folders of published versions to learn from.
        resume: Whether to continue from the last checkpoint, if there is one, of a run that differs
            in `epochs` and `patience` at most.
        publish_best_on_stop: Whether to publish the best epoch after Ctrl-C or SIGTERM.
        metrics_file: The file for one line of JSON per epoch, or None.
        tensorboard_dir: The folder for TensorBoard events, or None.
    """

    dataset: str
    data_dir: Path | None
    cache_dir: Path
    checkpoint_dir: Path
    model_dir: Path
    model_name: str | None
    num_classes: int | None
    recipe: Recipe
    recipe_name: str
    seed: int
    teachers: tuple[Path, ...] = ()
    resume: bool = False
    publish_best_on_stop: bool = False
    metrics_file: Path | None = None
    tensorboard_dir: Path | None = None


@dataclass(frozen=True)
class _Splits:
    """The training, validation and test split of a data set."""

    name: str
    digests: dict[str, str]
    num_classes: int
    train: LabelledImages
    valid: LabelledImages
    test: LabelledImages


def run(job: Job) -> PublishedModel:
    """Train a network and publish it.

    Raises:
        TrainerError: The data or the options are invalid, or training diverged.
        OSError: A file cannot be read or written.
        RepositoryError: The model name is invalid, or the written version cannot be loaded.
        KeyboardInterrupt: After Ctrl-C, and after publishing the best epoch if requested.
        TerminatedError: After SIGTERM, likewise.
    """
    keep_freed_memory()
    data = load_dataset(job.dataset, job.data_dir, job.cache_dir, job.seed)
    name = _publication_name(job, data)
    repository = ModelRepository(job.model_dir)
    _check_writable(repository, name)

    rng = np.random.default_rng(job.seed)
    splits = _split(data, data.check_classes(job.num_classes), rng)
    log(
        f"{data.name}: {len(splits.train):,} training, {len(splits.valid):,} validation and "
        f"{len(splits.test):,} test images; recipe {job.recipe_name}"
    )
    image_shape = splits.train.images.shape[1:]
    teachers = Teachers(job.teachers, image_shape, splits.num_classes) if job.teachers else None
    state = TrainingState.begin(
        job.recipe, image_shape, splits.num_classes, rng, has_teachers=teachers is not None
    )
    with _run_folder(job, name, splits, teachers) as folder:
        _start_or_resume(job, folder, state)
        with ExitStack() as logs:
            after_epoch: list[Callable[[EpochRecord], None]] = []
            for epoch_log in _open_logs(job, state.history):
                logs.callback(epoch_log.close)
                after_epoch.append(epoch_log.write)
            # Last, so that the logs contain every epoch of the checkpoint.
            after_epoch.append(_checkpoint(folder, state))
            try:
                fit(state, job.recipe, splits.train, splits.valid, after_epoch, teachers)
            except (KeyboardInterrupt, TerminatedError):
                if job.publish_best_on_stop and state.history:
                    log("stopped: publishing the best epoch so far")
                    _publish(job, repository, name, splits, state, teachers)
                raise
        return _publish(job, repository, name, splits, state, teachers)


def _publication_name(job: Job, data: ImageData) -> str:
    name = job.model_name or Path(data.name).name
    if name == MNIST and data.name != MNIST:
        raise TrainerError(
            f"expected a --model-name other than {MNIST!r} for {data.name!r}, which does not have "
            f"the digests of MNIST, got {MNIST!r}"
        )
    return name


def _check_writable(repository: ModelRepository, name: str) -> None:
    try:
        repository.check_writable(name)
    except OSError as error:
        raise TrainerError(
            f"expected a writable model repository, got {error}: "
            "change its owner, mount or disk, or choose another with --model-dir"
        ) from error


def _split(data: ImageData, num_classes: int, rng: np.random.Generator) -> _Splits:
    train, test = (data.train, data.test) if data.test else _hold_back(data.train, TEST_SHARE, rng)
    train, valid = _hold_back(train, VALIDATION_SHARE, rng)
    return _Splits(data.name, dict(data.digests), num_classes, train, valid, test)


def _hold_back(
    data: LabelledImages, share: float, rng: np.random.Generator
) -> tuple[LabelledImages, LabelledImages]:
    if len(data) < 3:
        raise TrainerError(f"expected at least 3 images to split, got {len(data)}")
    return data.split(max(1, round(share * len(data))), rng)


def _run_folder(job: Job, name: str, splits: _Splits, teachers: Teachers | None) -> RunFolder:
    """Open and lock the checkpoint folder of the run.

    It is the same for any number of epochs and any patience, so that a run can be extended.
    """
    recipe = asdict(job.recipe)
    del recipe["epochs"], recipe["patience"]
    identity = {
        "dataset": [splits.name, splits.digests, splits.num_classes],
        "splits": [len(part) for part in (splits.train, splits.valid, splits.test)],
        "recipe": recipe,
        "seed": job.seed,
        "teachers": teachers.identity if teachers else [],
    }
    try:
        return RunFolder(job.checkpoint_dir, name, identity)
    except OSError as error:
        raise TrainerError(
            f"expected a writable folder for checkpoints, got {error}: "
            "choose another with --checkpoint-dir"
        ) from error


def _start_or_resume(job: Job, folder: RunFolder, state: TrainingState) -> None:
    if not job.resume:
        folder.clear()
    elif folder.restore(state):
        done, epochs = len(state.history), job.recipe.epochs
        if done > epochs:
            raise TrainerError(
                f"expected --epochs of {done} or more to resume a run of {done} epochs, "
                f"got {epochs}: increase it or train without --resume"
            )
        log(f"resuming after epoch {done} of {epochs}")
    else:
        log(f"no checkpoint of this run in {job.checkpoint_dir}: starting at epoch 1")


def _checkpoint(folder: RunFolder, state: TrainingState) -> Callable[[EpochRecord], None]:
    def save(record: EpochRecord) -> None:
        try:
            folder.save(state)
        except OSError as error:
            log(f"WARNING: no checkpoint of epoch {record.epoch}: {error}")

    return save


def _open_logs(job: Job, history: Sequence[EpochRecord]) -> list[EpochLog]:
    logs: list[EpochLog] = []
    if job.metrics_file:
        logs.append(JsonLinesLog(job.metrics_file, history))
    if job.tensorboard_dir:
        logs.append(TensorBoardLog(job.tensorboard_dir, history))
    return logs


def _publish(
    job: Job,
    repository: ModelRepository,
    name: str,
    splits: _Splits,
    state: TrainingState,
    teachers: Teachers | None,
) -> PublishedModel:
    """Publish the best epoch: calibrate, measure, write, and measure the written files again."""
    state.use_best_weights()
    model, test = state.model, splits.test
    temperature = calibrate(model, splits.valid)
    probabilities = answer_all(model.predict, test)
    tested = measure(probabilities, test.labels)
    seconds = state.history[-1].seconds
    labels = [str(label) for label in range(splits.num_classes)]
    provenance = {
        "metrics": {
            "validation": measure(answer_all(model.predict, splits.valid), splits.valid.labels),
            "test": tested,
        },
        "dataset": {"name": splits.name, "digests": splits.digests},
        "recipe": {"name": job.recipe_name, **asdict(job.recipe), "seed": job.seed},
        "training": {
            "images": len(splits.train),
            "epochs": len(state.history),
            "best_epoch": state.best_epoch,
            "seconds": round(seconds, 1),
            "teachers": teachers.identity if teachers else [],
        },
        "calibration": {"temperature": temperature},
    }
    from trainer.report import make_report  # importing matplotlib takes longer than an epoch

    report = make_report(
        name,
        model,
        probabilities.T,
        test,
        labels,
        provenance,
        history=state.history,
        deformations=_draw_deformations(job, splits.train),
    )

    def verify(read_back: PublishedModel) -> None:
        again = measure(answer_all(read_back.model.predict, test), test.labels)
        if again != tested:
            raise TrainerError(
                f"expected the written files to reproduce {described(tested)}, "
                f"got {described(again)}: nothing was published"
            )
        # From here the version appears: a stop must not report that nothing was published.
        stack.enter_context(handled_by(signal.SIG_IGN))

    with ExitStack() as stack:
        try:
            published = repository.publish(
                name,
                model,
                labels=labels,
                probe_images=splits.valid.images[:PROBES],
                provenance=provenance,
                report=report,
                verify=verify,
            )
        except OSError as error:
            raise TrainerError(
                f"cannot write the version: {error}: resolve this and continue with --resume"
            ) from error
        log(
            f"epoch {state.best_epoch} has the lowest validation loss\n"
            f"test {described(tested)}, after {seconds:.1f} s of training\n"
            f"published {job.model_dir / name / str(published.manifest.version)}"
        )
        return published


def _draw_deformations(job: Job, train: LabelledImages) -> "Figure | None":
    """Draw one image of each of the first ten classes and deformed copies of it."""
    shape = train.images.shape[1:]
    if job.recipe.augmentation is None or not applies_to(shape):
        return None
    _, first_of_class = np.unique(train.labels, return_index=True)
    originals = train.images[first_of_class[:10]]
    augmentation = Augmentation(shape, np.random.default_rng(job.seed), job.recipe.augmentation)
    copies = [
        np.concatenate([augmentation(image[None]) for image in originals]).reshape(originals.shape)
        for _ in range(_DEFORMED_COPIES)
    ]
    from trainer.figures import draw_deformations

    return draw_deformations(originals, copies)
