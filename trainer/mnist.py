"""Loading MNIST from a directory, the cache or the public mirrors, with verification."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from trainer.download import RemoteFile, download
from trainer.errors import DataError, DownloadError
from trainer.idx import IdxFile, read_idx
from trainer.labelled_images import ImageData, LabelledImages
from trainer.progress import log

MNIST = "mnist"  # the name of the data set
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


class MnistFiles(NamedTuple):
    """The four files of MNIST."""

    train_images: RemoteFile
    train_labels: RemoteFile
    test_images: RemoteFile
    test_labels: RemoteFile


FILES = MnistFiles(
    RemoteFile(
        "train-images-idx3-ubyte",
        size=47_040_016,
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    RemoteFile(
        "train-labels-idx1-ubyte",
        size=60_008,
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte",
        size=7_840_016,
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte",
        size=10_008,
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def load_mnist(
    data_dir: Path | None,
    cache_dir: Path,
    mirrors: Sequence[str] = MIRRORS,
    files: MnistFiles = FILES,
) -> ImageData:
    """Load MNIST from `data_dir`, the cache or the mirrors, in this order.

    Args:
        data_dir: A directory with the four IDX files, gzipped or not. A directory without any of
            them is skipped.
        cache_dir: The directory for downloads; a damaged file in it is downloaded again.
        mirrors: URLs that end in a slash.
        files: The files and their digests.

    Raises:
        DataError: In `data_dir` some of the files are missing, or one is not MNIST's.
        DownloadError: A file cannot be downloaded.
        OSError: A file cannot be read or written.
    """
    if data_dir is not None and _any_in(data_dir, files):
        found = [_from_data_dir(data_dir, file) for file in files]
    else:
        cache = cache_dir / "mnist"
        found = [_from_cache(cache / file.name, file, mirrors) for file in files]
    train_images, train_labels, test_images, test_labels = (file.array for file in found)
    return ImageData(
        name=MNIST,
        train=LabelledImages.checked(train_images, train_labels, files.train_images.name),
        test=LabelledImages.checked(test_images, test_labels, files.test_images.name),
        digests={file.name: file.sha256 for file in files},
    )


def is_mnist(digests: Mapping[str, str]) -> bool:
    """Return whether the digests of a data set, file name -> SHA-256, are those of MNIST."""
    return digests == {file.name: file.sha256 for file in FILES}


def _paths(data_dir: Path, file: RemoteFile) -> list[Path]:
    return [path for name in (file.name, f"{file.name}.gz") if (path := data_dir / name).is_file()]


def _any_in(data_dir: Path, files: MnistFiles) -> bool:
    if not data_dir.is_dir():
        raise DataError(
            f"expected a directory with MNIST's IDX files, got {data_dir}: no directory"
        )
    if any(_paths(data_dir, file) for file in files):
        return True
    log(f"{data_dir} has none of MNIST's files: using the cache or a download")
    return False


def _from_data_dir(data_dir: Path, file: RemoteFile) -> IdxFile:
    paths = _paths(data_dir, file)
    if not paths:
        raise DataError(f"{data_dir}: expected {file.name} or {file.name}.gz, got neither")
    return _verified(paths[0], file)


def _from_cache(path: Path, file: RemoteFile, mirrors: Sequence[str]) -> IdxFile:
    if path.exists():
        try:
            return _verified(path, file)
        except DataError as error:
            log(f"{error}; downloading it again")
            path.unlink()
    try:
        download(file, mirrors, path)
    except OSError as error:
        raise DownloadError(f"cannot write downloads to {path.parent}: {error}") from error
    return _verified(path, file)


def _verified(path: Path, file: RemoteFile) -> IdxFile:
    found = read_idx(path)
    if found.sha256 != file.sha256:
        raise DataError(f"{path}: expected MNIST's SHA-256 {file.sha256}, got {found.sha256}")
    return found
