"""The command `evaluate`: measuring a published version on a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nncore.repository import PublishedModel
from trainer.errors import DataError, TrainerError
from trainer.labelled_images import ImageData, LabelledImages
from trainer.measurement import answer_all, described, measure
from trainer.mnist import MNIST, is_mnist
from trainer.progress import log
from trainer.sources import SYNTHETIC, load_dataset
from trainer.versions import load_version


@dataclass(frozen=True)
class EvaluationJob:
    """The options of an evaluation.

    Attributes:
        version: The folder of a published version.
        dataset: As in `load_dataset`; the one that the version was trained on when None.
        data_dir: A directory with MNIST's files.
        cache_dir: The directory for downloads.
        seed: The seed of synthetic digits.
        report_dir: The new folder of the report; None for no report.
    """

    version: Path
    dataset: str | None
    data_dir: Path | None
    cache_dir: Path
    seed: int
    report_dir: Path | None


def evaluate_version(job: EvaluationJob) -> dict[str, Any]:
    """Measure a version on the test images of a data set, or on all images if it has none.

    Returns:
        The metrics of `trainer.measurement.measure`.

    Raises:
        TrainerError: The version, the data set or the folder of the report is invalid.
        RepositoryError: The version is damaged.
        OSError: A file cannot be read or written.
    """
    published = load_version(job.version)
    manifest = published.manifest
    title = f"{manifest.name} {manifest.version}"
    if job.report_dir and job.report_dir.exists():
        raise TrainerError(f"expected a new folder for the report, got {job.report_dir}")
    data = load_dataset(_dataset(job, manifest.provenance), job.data_dir, job.cache_dir, job.seed)
    images = _images(data, published)

    probabilities = answer_all(published.model.predict, images)
    metrics = measure(probabilities, images.labels)
    log(f"{title} on {data.name}: {described(metrics)}")
    if job.report_dir:
        provenance = {
            **manifest.provenance,
            "metrics": {"test": metrics},
            "dataset": {"name": data.name, "digests": dict(data.digests)},
        }
        from trainer.report import make_report  # only a report needs matplotlib

        report = make_report(
            f"{title} on {data.name}",
            published.model,
            probabilities.T,
            images,
            manifest.labels,
            provenance,
        )
        job.report_dir.mkdir(parents=True)
        for name, content in report.items():
            (job.report_dir / name).write_bytes(content)
        log(f"wrote {job.report_dir}")
    return metrics


def _dataset(job: EvaluationJob, provenance: Mapping[str, Any]) -> str:
    if job.dataset is not None:
        return job.dataset
    dataset = provenance.get("dataset", {})
    name, digests = str(dataset.get("name")), dataset.get("digests")
    is_other = name == MNIST and digests and not is_mnist(digests)
    if is_other or name not in (MNIST, SYNTHETIC):
        raise TrainerError(
            f"expected --dataset with the path of a data set, got none: "
            f"the version was trained on {name!r}"
        )
    return name


def _images(data: ImageData, published: PublishedModel) -> LabelledImages:
    images = data.test or data.train
    shape, expected = list(images.images.shape[1:]), published.manifest.input_shape
    if shape != expected:
        raise DataError(f"{data.name}: expected images of shape {expected}, got {shape}")
    highest, classes = images.labels.max(), len(published.manifest.labels)
    if highest >= classes:
        raise DataError(f"{data.name}: expected labels in 0..{classes - 1}, got {highest}")
    return images
