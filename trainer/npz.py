"""Loading a data set from an `.npz` file."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nncore.types import Array
from trainer.errors import DataError
from trainer.labelled_images import ImageData, LabelledImages


def load_npz(path: Path, name: str) -> ImageData:
    """Load `images` and `labels`, and `test_images` and `test_labels` if present; never unpickle.

    Raises:
        DataError: The file is not an `.npz`, or an array is missing or invalid.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        arrays = _plain_arrays(file, path)
    parts = {}
    for prefix in ("", "test_"):
        names = f"{prefix}images", f"{prefix}labels"
        missing = [array for array in names if array not in arrays]
        if len(missing) == 1 or (missing and not prefix):
            raise DataError(
                f"{path}: expected arrays {' and '.join(names)}, got {', '.join(arrays) or 'none'}"
            )
        if not missing:
            images, labels = (arrays[array] for array in names)
            parts[prefix] = LabelledImages.checked(images, labels, origin=f"{path} ({names[0]})")
    return ImageData(name, parts[""], parts.get("test_"), {path.name: digest})


def _plain_arrays(file: BinaryIO, path: Path) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as members:
            return {n: array for n, array in members.items() if isinstance(array, np.ndarray)}
    except Exception as error:
        raise DataError(f"{path}: expected an .npz of plain arrays: {error}") from error
