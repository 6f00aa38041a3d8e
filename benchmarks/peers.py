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
from torch.nn import functional

# As in `trainer.augmentation`.
GROUP_SIZE, NOISY_SHARE, THINNING_BIAS = 32, 0.25, 1.5
SIZE = 28


def main() -> None:
    """Load the data that the first line names, then answer until stdin ends."""
    setup = json.loads(sys.stdin.readline())
    torch.set_num_threads(setup["threads"])
    with np.load(setup["data"]) as data:
        images, labels = data["images"], data["labels"]
    peers = {
        "PyTorch": _torch(images, labels, setup),
        "PyTorch, in groups": _torch(images, labels, setup, _augmentation(setup, GROUP_SIZE)),
        "PyTorch, image by image": _torch(images, labels, setup, _augmentation(setup, 1)),
        "scikit-learn": _sklearn(images, labels, setup),
    }
    print(0, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        order = np.arange(request["batch"] * request["steps"]) % len(images)
        np.random.default_rng(0).shuffle(order)
        print(peers[request["peer"]](order, request["batch"]), flush=True)


def _torch(
    images: Any, labels: Any, setup: Any, augment: Callable[[Any], Any] | None = None
) -> Callable[[Any, int], float]:
    """Gather bytes, scale, forward, loss, backward, step; read the loss as Nodestack does.

    With augmentation, also Nesterov momentum and a cosine schedule: the step of the recipe.
    """
    layers: list[Any] = []
    for inputs, outputs in pairwise(setup["sizes"]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    criterion = torch.nn.CrossEntropyLoss(reduction="sum")
    all_pixels = torch.from_numpy(images.reshape(len(images), -1))
    all_labels = torch.from_numpy(labels)
    momentum = {"momentum": setup["momentum"], "nesterov": True} if augment else {}

    def take_steps(order: Any, batch: int) -> float:
        optimizer = torch.optim.SGD(network.parameters(), lr=setup["learning_rate"], **momentum)
        batches = torch.from_numpy(order).split(batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
        start = time.perf_counter()
        total = 0.0
        for chosen in batches:
            pixels = all_pixels[chosen].to(torch.float32).div_(255)
            if augment:
                pixels = augment(pixels)
            optimizer.zero_grad()
            loss = criterion(network(pixels), all_labels[chosen])
            loss.backward()
            optimizer.step()
            if augment:
                schedule.step()
            total += loss.item()
        return time.perf_counter() - start

    return take_steps


def _augmentation(setup: Any, group_size: int) -> Callable[[Any], Any]:
    """Return the deformations of `trainer.augmentation`, as tensor operations on a batch.

    The images of a group share one deformation: they are the channels of one sample.
    """
    strength = setup["strength"]
    half = (SIZE - 1) / 2  # pixels per unit of a grid
    distance = torch.arange(SIZE)[:, None] - torch.arange(SIZE)
    smooth = torch.exp(-0.5 * (distance / strength["smoothness"]) ** 2)
    smooth /= smooth.square().sum(dim=1, keepdim=True).sqrt()

    def uniform(name: str, *shape: int) -> Any:
        return torch.empty(shape).uniform_(-strength[name], strength[name])

    def grid(count: int) -> Any:
        """Draw affine and elastic deformations: the source of each pixel, from -1 to 1."""
        angle, shear = torch.deg2rad(uniform("rotation", count)), uniform("shear", count)
        sine, cosine = angle.sin(), angle.cos()
        rows = [cosine, shear * cosine - sine, sine, shear * sine + cosine]
        scaled = torch.stack(rows, dim=1).view(count, 2, 2) * (1 + uniform("scale", count, 2, 1))
        affine = torch.cat([scaled, uniform("shift", count, 2, 1) / half], dim=2)
        noise = torch.randn(count, 2, SIZE, SIZE)
        elastic = strength["elastic"] / half * (smooth @ noise @ smooth.T)
        positions = functional.affine_grid(affine, [count, 1, SIZE, SIZE], align_corners=True)
        return positions + elastic.permute(0, 2, 3, 1)

    def change_thickness(images: Any) -> Any:
        limit = strength["thickness"]
        change = torch.empty(len(images), 1, 1, 1).uniform_(-THINNING_BIAS * limit, limit)
        change.clamp_(min=-limit)
        sign = change.sign()  # thinning takes the minimum
        signed = sign * images
        extreme = signed.clone()
        for axis in (2, 3):  # neighbours in the column, then in the row
            for start, neighbour in ((1, 0), (0, 1)):
                target = extreme.narrow(axis, start, SIZE - 1)
                torch.maximum(target, signed.narrow(axis, neighbour, SIZE - 1), out=target)
        return torch.lerp(images, sign * extreme, change.abs())

    def add_noise(images: Any) -> Any:
        noisy = torch.rand(len(images)) < NOISY_SHARE
        chosen = images[noisy]
        deviation = torch.empty(len(chosen), 1, 1, 1).uniform_(0, strength["noise"])
        images[noisy] = (chosen + deviation * torch.randn_like(chosen)).clamp_(0, 1)
        return images

    def augment(pixels: Any) -> Any:
        groups = pixels.view(-1, group_size, SIZE, SIZE)
        groups = functional.grid_sample(
            groups, grid(len(groups)), padding_mode="border", align_corners=True
        )
        return add_noise(change_thickness(groups)).view(pixels.shape)

    return augment


def _sklearn(images: Any, labels: Any, setup: Any) -> Callable[[Any, int], float]:
    """Pass once through samples that are already scaled and in order: it gathers nothing."""
    pixels = (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)
    sizes, lr = setup["sizes"], setup["learning_rate"]

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
