"""The other side of `test_torch`: it runs where PyTorch is, and imports nothing of the project.

    torch_answers.py WEIGHTS SIZES IMAGES ANSWERS

Loads the weights into a `torch.nn.Sequential` of layers of these sizes (784,512,10, say), and
writes what it answers to the images of one .npy file, `(batch, pixels)`, into another, `(batch,
classes)`.
"""

import sys
from itertools import pairwise

import numpy as np
import torch
from safetensors.torch import load_file


def main(weights: str, sizes: str, images: str, answers: str) -> None:
    layers = [
        layer
        for inputs, outputs in pairwise(map(int, sizes.split(",")))
        for layer in (torch.nn.Linear(inputs, outputs), torch.nn.ReLU())
    ]
    network = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(dim=1))
    network.load_state_dict(load_file(weights))
    with torch.no_grad():
        np.save(answers, network(torch.from_numpy(np.load(images))).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
