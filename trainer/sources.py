"""Loading the data set that `--dataset` names."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainer.errors import DataError, DownloadError
from trainer.idx_directory import load_idx_directory
from trainer.labelled_images import ImageData, LabelledImages
from trainer.mnist import MIRRORS, MNIST, is_mnist, load_mnist
from trainer.npz import load_npz
from trainer.progress import log
from trainer.synthetic import generate_digits

SYNTHETIC = "synthetic"
SYNTHETIC_TRAIN_IMAGES = 20_000
SYNTHETIC_TEST_IMAGES = 4_000


def load_dataset(
    dataset: str,
    data_dir: Path | None,
    cache_dir: Path,
    seed: int,
    mirrors: Sequence[str] = MIRRORS,
) -> ImageData:
    """Load a data set.

    Args:
        dataset: "auto", "mnist", "synthetic", or the path of an `.npz` file or of a directory of
            IDX files. Data that a path names is called "mnist" if and only if it is MNIST.
        data_dir: A directory with MNIST's files.
        cache_dir: The directory for downloads.
        seed: The seed of synthetic digits.
        mirrors: URLs to download MNIST from.

    Raises:
        DataError: The data set is invalid.
        DownloadError: `dataset` is "mnist" and a file cannot be downloaded.
        OSError: A file cannot be read or written.
    """
    if dataset == SYNTHETIC:
        return synthetic_data(seed)
    if dataset == MNIST:
        try:
            return load_mnist(data_dir, cache_dir, mirrors)
        except DownloadError as error:
            raise DownloadError(
                f"{error}; set --data-dir or DATA_DIR to a directory with MNIST's IDX files, "
                f"or use --dataset {SYNTHETIC}"
            ) from error
    if dataset == "auto":
        try:
            return load_mnist(data_dir, cache_dir, mirrors)
        except DownloadError as error:
            log(
                f"WARNING: {error}.\nWARNING: TRAINING ON SYNTHETIC DIGITS INSTEAD; "
                f"the model is named {SYNTHETIC!r}, not 'mnist'."
            )
            return synthetic_data(seed)
    path = Path(dataset)
    if path.is_dir():
        return _named_by_content(load_idx_directory(path, name=path.resolve().name), path)
    if path.is_file():
        return _named_by_content(load_npz(path, name=path.stem), path)
    raise DataError(
        f"expected auto, mnist, {SYNTHETIC}, an .npz file or a directory of IDX files, "
        f"got {dataset!r}"
    )


def _named_by_content(data: ImageData, path: Path) -> ImageData:
    """Name MNIST's files "mnist", and other data of a reserved name also after their folder."""
    if is_mnist(data.digests):
        return replace(data, name=MNIST)
    if data.name in (MNIST, SYNTHETIC):
        return replace(data, name=f"{path.resolve().parent.name}/{data.name}")
    return data


def synthetic_data(seed: int) -> ImageData:
    """Generate a data set of synthetic digits; training and test images have different seeds."""
    train = _digits(SYNTHETIC_TRAIN_IMAGES, 2 * seed)
    test = _digits(SYNTHETIC_TEST_IMAGES, 2 * seed + 1)
    return ImageData(SYNTHETIC, train, test, {"generator": f"trainer.synthetic, seed {seed}"})


def _digits(count: int, seed: int) -> LabelledImages:
    images, labels = generate_digits(count, seed)
    return LabelledImages.checked(images, labels, origin=SYNTHETIC)
