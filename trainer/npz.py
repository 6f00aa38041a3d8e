"""A data set in one `.npz`: `images` and `labels`, perhaps `test_images` and `test_labels` too."""

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from trainer.errors import DataError
from trainer.labelled_images import ImageData, LabelledImages


def load_npz(path: Path, name: str) -> ImageData:
    """Load a data set from an `.npz` file; nothing in it is unpickled.

    Raises:
        DataError: It is no `.npz`, or an array is missing or wrong.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, TypeError) as error:
        raise DataError(f"{path}: expected an .npz of plain arrays: {error}") from error
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
