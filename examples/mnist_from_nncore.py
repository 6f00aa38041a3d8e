"""MNIST with `nncore` alone: `python -m examples.mnist_from_nncore FOLDER` (or DATA_DIR).

FOLDER holds the four IDX files of MNIST, gzipped or not.
"""

import gzip
import os
import sys
from pathlib import Path

import numpy as np

from nncore import Dataset, FCModel, NesterovSGD, SoftmaxCrossEntropy, scale_pixels, train_one_epoch
from nncore.types import Array

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["DATA_DIR"])


def read(name: str, header_bytes: int) -> Array:
    """Read the bytes of an IDX file after its header."""
    if (FOLDER / name).exists():
        content = (FOLDER / name).read_bytes()
    else:
        content = gzip.decompress((FOLDER / f"{name}.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=header_bytes)


def data_set(split: str) -> Dataset:
    """Load the images, `(count, 784)`, and the labels of "train" or "t10k"."""
    images = read(f"{split}-images-idx3-ubyte", 16).reshape(-1, 784)
    return Dataset(images, read(f"{split}-labels-idx1-ubyte", 8), transform=scale_pixels)


train, test = data_set("train"), data_set("t10k")
model = FCModel(784, (512, 256), 10, loss=SoftmaxCrossEntropy(), needs_input_grad=False)
optimizer = NesterovSGD(lr=1e-3, momentum=0.9)
for epoch in range(1, 11):
    train_one_epoch(model, train, test, optimizer, {"batch_size": 256}, label=f"Epoch {epoch}")
    optimizer.lr *= 0.7
