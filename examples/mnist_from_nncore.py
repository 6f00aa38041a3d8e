"""Trains on MNIST with `nncore` alone; DATA_DIR names the folder of its four gzipped files."""

import gzip
import os

import numpy as np

from nncore import Dataset, FCModel, NesterovSGD, SoftmaxCrossEntropy, scale_pixels, train_one_epoch


def load(split: str) -> Dataset:
    """Return the images and labels of "train" or "t10k"."""
    arrays = []
    for name, header_bytes in (("images-idx3", 16), ("labels-idx1", 8)):
        with gzip.open(f"{os.environ['DATA_DIR']}/{split}-{name}-ubyte.gz") as file:
            arrays.append(np.frombuffer(file.read(), np.uint8, offset=header_bytes))
    return Dataset(arrays[0].reshape(-1, 784), arrays[1], transform=scale_pixels)


train, test = load("train"), load("t10k")
model = FCModel(784, (512, 256), 10, loss=SoftmaxCrossEntropy(), needs_input_grad=False)
optimizer = NesterovSGD(lr=1e-3, momentum=0.9)
for epoch in range(1, 11):
    train_one_epoch(model, train, test, optimizer, {"batch_size": 256}, label=f"Epoch {epoch}")
    optimizer.lr *= 0.7
