"""The peers of `benchmarks.training`, which runs this program in `.venv-bench`.

Each line on stdin asks for steps, `{"peer": "PyTorch", "batch": 64, "steps": 100}`; each line on
stdout is the seconds they took. Nothing of this project is imported.
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier


def main() -> None:
    """Load the data that the first line names, then answer until stdin ends."""
    setup = json.loads(sys.stdin.readline())
    torch.set_num_threads(setup["threads"])
    with np.load(setup["data"]) as data:
        images, labels = data["images"], data["labels"]
    peers = {
        "PyTorch": _torch(images, labels, setup["sizes"], setup["learning_rate"]),
        "scikit-learn": _sklearn(images, labels, setup["sizes"], setup["learning_rate"]),
    }
    print(0, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        order = np.arange(request["batch"] * request["steps"]) % len(images)
        np.random.default_rng(0).shuffle(order)
        print(peers[request["peer"]](order, request["batch"]), flush=True)


def _torch(images: Any, labels: Any, sizes: list[int], lr: float) -> Callable[[Any, int], float]:
    """Gather bytes, scale, forward, loss, backward, step; read the loss as Nodestack does."""
    layers: list[Any] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    criterion = torch.nn.CrossEntropyLoss(reduction="sum")
    all_pixels = torch.from_numpy(images.reshape(len(images), -1))
    all_labels = torch.from_numpy(labels)

    def take_steps(order: Any, batch: int) -> float:
        start = time.perf_counter()
        total = 0.0
        for chosen in torch.from_numpy(order).split(batch):
            pixels = all_pixels[chosen].to(torch.float32).div_(255)
            optimizer.zero_grad()
            loss = criterion(network(pixels), all_labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item()
        return time.perf_counter() - start

    return take_steps


def _sklearn(images: Any, labels: Any, sizes: list[int], lr: float) -> Callable[[Any, int], float]:
    """Pass once through samples that are already scaled and in order: it gathers nothing."""
    pixels = (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)

    def take_steps(order: Any, batch: int) -> float:
        options = {"solver": "sgd", "momentum": 0, "alpha": 0, "learning_rate_init": lr}
        network = MLPClassifier(sizes[1:-1], batch_size=batch, shuffle=False, **options)
        classes = np.arange(sizes[-1])
        network.partial_fit(pixels[:batch], labels[:batch], classes=classes)
        samples, targets = pixels[: len(order)], labels[: len(order)]
        start = time.perf_counter()
        network.partial_fit(samples, targets)
        return (time.perf_counter() - start) * len(order) / len(samples)

    return take_steps


if __name__ == "__main__":
    main()
