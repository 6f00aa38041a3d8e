"""The PyTorch side of `test_torch`; imports nothing of this project.

    torch_answers.py WEIGHTS SIZES IMAGES ANSWERS

Loads the weights into a `torch.nn.Sequential` of layers of these sizes (for example
784,512,10), and writes its output for the images of one .npy file, `(batch, pixels)`, to another,
`(batch, classes)`.
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
