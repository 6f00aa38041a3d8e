"""Data sets small enough for a test: IDX bytes, a toy problem, a database with MNIST's names."""

import gzip
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nncore.repository.files import LOCK_FILE
from nncore.types import Array
from trainer.download import RemoteFile
from trainer.labelled_images import LabelledImages
from trainer.mnist import MnistFiles

TYPE_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: Array) -> bytes:
    """Write an array as IDX, independently of the reader: magic, sizes, big-endian values."""
    header = bytes([0, 0, TYPE_CODES[array.dtype.str[1:]], array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def toy_problem(count: int = 120, seed: int = 0, shape: tuple[int, ...] = (4, 3)) -> LabelledImages:
    """Make images of three classes, told apart by which of the first three pixels is bright."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 60, (count, *shape), dtype=np.uint8)
    images.reshape(count, -1)[np.arange(count), labels] = 250
    return LabelledImages(images, labels)


def save_npz(path: Path, **arrays: Any) -> Path:
    """Save the toy problem as an `.npz`, with arrays replaced, added or, where None, left out."""
    toy = toy_problem()
    content = {"images": toy.images, "labels": toy.labels, **arrays}
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, except its lock file; nothing when it is not there."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if path.name != LOCK_FILE
    }


class SmallMnist(NamedTuple):
    """A database with the names of MNIST's files and few images of 5 by 4 pixels."""

    files: MnistFiles
    contents: dict[str, bytes]

    def gzipped(self) -> dict[str, bytes]:
        return {f"{name}.gz": gzip.compress(content) for name, content in self.contents.items()}


def small_mnist() -> SmallMnist:
    rng, contents = np.random.default_rng(0), {}
    for split, count in (("train", 40), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        contents[f"{split}-images-idx3-ubyte"] = idx_bytes(images)
        contents[f"{split}-labels-idx1-ubyte"] = idx_bytes((np.arange(count) % 10).astype(np.uint8))
    files = MnistFiles(*(remote_file(name, content) for name, content in contents.items()))
    return SmallMnist(files, contents)


def remote_file(name: str, content: bytes) -> RemoteFile:
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest())
