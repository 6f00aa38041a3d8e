"""Reader of the IDX format: a magic number, the dimensions, then the values, big-endian.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", file formats.
"""

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np

from nncore.types import Array
from trainer.errors import DataError

_VALUE_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
LARGEST_FILE = 4 << 30


@dataclass(frozen=True)
class IdxFile:
    """The content of an IDX file.

    Attributes:
        array: The values in native byte order.
        sha256: The hexadecimal digest of the decompressed bytes.
    """

    array: Array
    sha256: str


def read_idx(path: Path) -> IdxFile:
    """Read an IDX file, gzipped or not.

    Raises:
        DataError: The file is damaged or is not an IDX file.
        OSError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP_MAGIC
        with gzip.open(path) if compressed else path.open("rb") as content:
            return _parse(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: expected a complete gzip file, got a damaged one: {error}"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _parse(content: gzip.GzipFile | BufferedReader) -> IdxFile:
    magic = content.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _VALUE_TYPES or not magic[3]:
        raise ValueError(f"expected an IDX magic number (0, 0, type, dimensions), got {magic!r}")
    value_type, dimensions = np.dtype(_VALUE_TYPES[magic[2]]), magic[3]

    sizes = content.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(f"expected {dimensions} dimensions, got a file that ends before them")
    shape = struct.unpack(f">{dimensions}I", sizes)

    expected = math.prod(shape) * value_type.itemsize
    if expected > LARGEST_FILE:
        raise ValueError(f"expected at most {LARGEST_FILE} bytes of values, got a shape of {shape}")
    values = content.read(expected)
    if len(values) < expected:
        raise ValueError(f"expected {expected} bytes of values for {shape}, got {len(values)}")
    if content.read(1):
        raise ValueError(f"expected {expected} bytes of values for {shape}, got more")

    digest = hashlib.sha256(magic + sizes)
    digest.update(values)
    array = np.frombuffer(values, value_type).reshape(shape)
    return IdxFile(array.astype(value_type.newbyteorder("="), copy=False), digest.hexdigest())
