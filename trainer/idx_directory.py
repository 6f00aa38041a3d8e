"""Loading a directory of IDX files that are named like MNIST's."""

from pathlib import Path

from trainer.errors import DataError
from trainer.idx import IdxFile, read_idx
from trainer.labelled_images import ImageData, LabelledImages

_TRAIN = ("*train-images*", "*train-labels*")
_TEST = ("*t10k-images*", "*t10k-labels*")
_TEST_ALTERNATIVE = ("*test-images*", "*test-labels*")


def load_idx_directory(directory: Path, name: str) -> ImageData:
    """Load training images and, if there are any, test images; a plain file before its `.gz`.

    Raises:
        DataError: A file is missing, ambiguous or invalid.
        OSError: A file cannot be read.
    """
    digests: dict[str, str] = {}
    train = _load_pair(directory, _TRAIN, digests)
    if train is None:
        raise DataError(
            f"{directory}: expected {' and '.join(_TRAIN)} in IDX form, gzipped or not, got neither"
        )
    test = _load_pair(directory, _TEST, digests) or _load_pair(
        directory, _TEST_ALTERNATIVE, digests
    )
    return ImageData(name, train, test, digests)


def _load_pair(
    directory: Path, patterns: tuple[str, str], digests: dict[str, str]
) -> LabelledImages | None:
    """Load images and their labels, adding to `digests`; None if there are neither."""
    found = [sorted(directory.glob(pattern)) for pattern in patterns]
    found = [
        [path for path in paths if path.suffix != ".gz" or path.with_suffix("") not in paths]
        for paths in found
    ]
    if not any(found):
        return None
    for pattern, paths in zip(patterns, found, strict=True):
        if len(paths) != 1:
            raise DataError(
                f"{directory}: expected one file {pattern}, "
                f"got {', '.join(path.name for path in paths) or 'none'}"
            )
    images, labels = (_load(paths[0], digests) for paths in found)
    return LabelledImages.checked(images.array, labels.array, origin=str(found[0][0]))


def _load(path: Path, digests: dict[str, str]) -> IdxFile:
    file = read_idx(path)
    digests[path.name.removesuffix(".gz")] = file.sha256
    return file
