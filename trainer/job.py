"""The whole job, start to end: load, split, train, measure, publish."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nncore import ModelRepository, NLLLoss, PublishedModel, get_accuracy, softmax
from nncore.types import Array
from trainer.calibration import calibrate, expected_calibration_error, predict_logits
from trainer.errors import TrainerError
from trainer.fit import fit
from trainer.labelled_images import ImageData, LabelledImages
from trainer.progress import log
from trainer.recipe import Recipe
from trainer.report import make_report
from trainer.signals import ignore_signals
from trainer.sources import SYNTHETIC, load_dataset

VALIDATION_SHARE = 1 / 12  # 5,000 of MNIST's 60,000
TEST_SHARE = 1 / 10  # of a data set that brings no test images
PROBES = 4


@dataclass(frozen=True)
class Job:
    """What a run is asked to do.

    Attributes:
        dataset: "auto", "mnist", "synthetic", or a path.
        data_dir: Where MNIST's files may lie.
        cache_dir: Where downloads are kept.
        model_dir: The model repository.
        model_name: What to publish under; the data set's name when None.
        num_classes: How many classes; one more than the highest label when None.
        recipe: How to train.
        recipe_name: What the recipe is called.
        seed: Of everything random.
    """

    dataset: str
    data_dir: Path | None
    cache_dir: Path
    model_dir: Path
    model_name: str | None
    num_classes: int | None
    recipe: Recipe
    recipe_name: str
    seed: int


def run(job: Job) -> PublishedModel:
    """Train a network and publish it; until the last moment nothing appears in the repository.

    Raises:
        TrainerError: The data or the settings are wrong, or training diverged.
        OSError: A file cannot be read or written.
        RepositoryError: What was published did not read back.
        ValueError: The name cannot be a model's.
    """
    data = load_dataset(job.dataset, job.data_dir, job.cache_dir, job.seed)
    name = _publication_name(job, data)
    num_classes = data.check_classes(job.num_classes)
    repository = ModelRepository(job.model_dir)
    try:
        repository.check_writable(name)
    except PermissionError as error:
        raise TrainerError(
            f"expected a model repository that this user may write, got {error}: "
            "change its owner or choose another by --model-dir"
        ) from error

    rng = np.random.default_rng(job.seed)
    train, test = _with_test_images(data, rng)
    train, valid = _split(train, VALIDATION_SHARE, rng)
    log(
        f"{data.name}: {len(train):,} images to train on, {len(valid):,} to validate, "
        f"{len(test):,} to test; recipe {job.recipe_name}"
    )
    fitted = fit(job.recipe, train, valid, num_classes, rng)

    temperature = calibrate(fitted.model, valid)
    probabilities = softmax(predict_logits(fitted.model, test))
    tested = _metrics(probabilities, test.labels)

    labels = [str(label) for label in range(num_classes)]
    provenance = {
        "metrics": {
            "validation": _metrics(softmax(predict_logits(fitted.model, valid)), valid.labels),
            "test": tested,
        },
        "dataset": {"name": data.name, "digests": dict(data.digests)},
        "recipe": {"name": job.recipe_name, **asdict(job.recipe), "seed": job.seed},
        "training": {"images": len(train), "seconds": round(fitted.seconds, 1)},
        "calibration": {"temperature": temperature},
    }
    report = make_report(name, probabilities.T, fitted.history, test, labels, provenance)

    ignore_signals()
    published = repository.publish(
        name,
        fitted.model,
        labels=labels,
        probe_images=valid.images[:PROBES],
        provenance=provenance,
        report=report,
    )
    right = round(tested["accuracy"] * len(test))
    log(
        f"test {tested['accuracy']:.2%} ({right:,} of {len(test):,}) "
        f"after {fitted.seconds:.1f} s of training, "
        f"calibration error {tested['calibration_error']:.2%}\n"
        f"published {job.model_dir / name / str(published.manifest.version)}"
    )
    return published


def _publication_name(job: Job, data: ImageData) -> str:
    name = job.model_name or data.name
    if data.name == SYNTHETIC and name == "mnist":
        raise TrainerError(
            "expected a model name that does not claim mnist for synthetic digits, got 'mnist'"
        )
    return name


def _with_test_images(
    data: ImageData, rng: np.random.Generator
) -> tuple[LabelledImages, LabelledImages]:
    return (data.train, data.test) if data.test else _split(data.train, TEST_SHARE, rng)


def _split(
    data: LabelledImages, share: float, rng: np.random.Generator
) -> tuple[LabelledImages, LabelledImages]:
    if len(data) < 3:
        raise TrainerError(f"expected images enough to hold some back, got {len(data)}")
    return data.split(max(1, round(share * len(data))), rng)


def _metrics(probabilities: Array, labels: Array) -> dict[str, float]:
    correct, total = get_accuracy(probabilities, labels)
    return {
        "images": total,
        "accuracy": correct / total,
        "loss": float(NLLLoss().apply(probabilities, labels)) / total,
        "calibration_error": expected_calibration_error(
            probabilities.max(axis=0), probabilities.argmax(axis=0) == labels
        ),
    }
