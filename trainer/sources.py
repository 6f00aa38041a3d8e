"""Which data set the job trains on: `--dataset` turned into images."""

from collections.abc import Sequence
from pathlib import Path

from trainer.errors import DataError, DownloadError
from trainer.idx_directory import load_idx_directory
from trainer.labelled_images import ImageData, LabelledImages
from trainer.mnist import MIRRORS, load_mnist
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
    """Load the data set that `--dataset` names.

    Args:
        dataset: "auto", "mnist", "synthetic", or the path of an `.npz` file or of a directory of
            IDX files.
        data_dir: Where MNIST's files may lie.
        cache_dir: Where MNIST's files are kept once they are downloaded.
        seed: Of the synthetic digits.
        mirrors: Where MNIST's files are downloaded from.

    Raises:
        DataError: It is not what it should be.
        DownloadError: MNIST was asked for by name and is nowhere to be had.
        OSError: A file cannot be read or written.
    """
    if dataset == SYNTHETIC:
        return synthetic_data(seed)
    if dataset == "mnist":
        try:
            return load_mnist(data_dir, cache_dir, mirrors)
        except DownloadError as error:
            raise DownloadError(
                f"{error}; name a directory with MNIST's IDX files by --data-dir or DATA_DIR, "
                f"or train on --dataset {SYNTHETIC}"
            ) from error
    if dataset == "auto":
        try:
            return load_mnist(data_dir, cache_dir, mirrors)
        except DownloadError as error:
            log(
                f"WARNING: {error}.\nWARNING: TRAINING ON SYNTHETIC DIGITS INSTEAD; "
                f"the model will be called {SYNTHETIC!r}, not 'mnist'."
            )
            return synthetic_data(seed)
    path = Path(dataset)
    if path.is_dir():
        return load_idx_directory(path, name=path.resolve().name)
    if path.is_file():
        return load_npz(path, name=path.stem)
    raise DataError(
        f"expected auto, mnist, {SYNTHETIC}, an .npz file or a directory of IDX files, "
        f"got {dataset!r}"
    )


def synthetic_data(seed: int) -> ImageData:
    """Draw a data set of synthetic digits; the test images come from a seed of their own."""
    train = _digits(SYNTHETIC_TRAIN_IMAGES, 2 * seed)
    test = _digits(SYNTHETIC_TEST_IMAGES, 2 * seed + 1)
    return ImageData(SYNTHETIC, train, test, {"generator": f"trainer.synthetic, seed {seed}"})


def _digits(count: int, seed: int) -> LabelledImages:
    images, labels = generate_digits(count, seed)
    return LabelledImages.checked(images, labels, origin=SYNTHETIC)
