"""`python -m benchmarks.training`: a training step beside PyTorch, scikit-learn, and the limit.

The limit is the matrix products of a step and nothing else. All contestants train 784-512-256-10 by
plain SGD, one after another in each round. The images are random, four pixels in five blank, as
MNIST's are; the learning rate is so small that no number grows or vanishes.

The peers run in `.venv-bench`; without it they are left out.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import PEERS, describe
from benchmarks.report import Goal, Rounds, arguments, publish, table, verdicts
from nncore import SGD, Dataset, FCModel, SoftmaxCrossEntropy, scale_pixels, train_epoch
from nncore.types import Array
from trainer.memory import keep_freed_memory

SIZES = (784, 512, 256, 10)
BATCHES = (32, 64, 128, 256, 512, 1024)
IMAGES = 60_000
LEARNING_RATE = 1e-6
OURS, LIMIT, TORCH, SKLEARN = "Nodestack", "matrix products", "PyTorch", "scikit-learn"
# The least ratio to another, by batch size.
GOALS = {
    TORCH: {64: 1.4, 128: 1.4, 256: 1.4, 512: 1.2, 1024: 1.2},
    LIMIT: {64: 0.8, 256: 0.9, 512: 0.9, 1024: 0.9},
}
# Below these the trainer has become slow, and the command fails.
FLOORS = {TORCH: dict.fromkeys((64, 128, 256), 0.95), LIMIT: dict.fromkeys(BATCHES[1:], 0.55)}
_SETTLE_SECONDS = 0.05  # the threads of the previous contestant may still spin

# Trains with batches of a size for a number of steps; returns the seconds.
Contestant = Callable[[int, int], float]


def main() -> int:
    """Publish the figures; fail where a step has become slow."""
    options = arguments(__doc__, rounds=9, images=20_480)
    keep_freed_memory()
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (IMAGES, 28, 28), dtype=np.uint8)
    images[rng.random(images.shape) < 0.8] = 0
    labels = rng.integers(0, SIZES[-1], IMAGES)

    with ExitStack() as stack:
        contestants = {OURS: _nodestack(images, labels), LIMIT: _products()}
        if (PEERS / "bin" / "python").exists():
            contestants |= stack.enter_context(_peers(images, labels))
        else:
            print(f"without {PEERS.name}, the peers are left out", file=sys.stderr)
        figures = _measure(contestants, options.rounds, options.images)

    others = [name for name in contestants if name != OURS]
    head = ["images/s at batch", *contestants, *(f"{OURS} / {other}" for other in others)]
    rows = []
    for batch, rounds in figures.items():
        medians = [f"{rounds.median(name):,.0f}" for name in contestants]
        rows.append([batch, *medians, *(f"{rounds.ratio(OURS, other):.2f}" for other in others)])
    goals = verdicts(_goals(figures, GOALS))
    machine = describe(peers=("torch", "scikit-learn"))
    publish("training", table(head, rows), goals, machine, write=options.write)
    return int(not all(floor.holds for floor in _goals(figures, FLOORS)))


def _goals(figures: dict[int, Rounds], limits: dict[str, dict[int, float]]) -> list[Goal]:
    return [
        Goal(f"images/s at batch {batch}: {OURS} / {other}", ratio, limit, at_least=True)
        for other, by_batch in limits.items()
        for batch, limit in by_batch.items()
        if other in figures[batch].names
        for ratio in [figures[batch].ratio(OURS, other)]
    ]


def _measure(contestants: dict[str, Contestant], rounds: int, images: int) -> dict[int, Rounds]:
    """Return images/s by batch size.

    Each round goes through all batch sizes, so that a noisy minute spoils some rounds of each and
    not every round of one.
    """
    figures = {batch: Rounds() for batch in BATCHES}
    for batch in BATCHES:
        for contestant in contestants.values():
            contestant(batch, 3)  # warm-up
    for _ in range(rounds):
        for batch in BATCHES:
            speeds = {}
            for name, contestant in contestants.items():
                time.sleep(_SETTLE_SECONDS)
                steps = images // batch
                speeds[name] = steps * batch / contestant(batch, steps)
            figures[batch].append(speeds)
    return figures


def _nodestack(images: Array, labels: Array) -> Contestant:
    rng, loss = np.random.default_rng(0), SoftmaxCrossEntropy()
    hidden, classes = SIZES[1:-1], SIZES[-1]
    model = FCModel((28, 28), hidden, classes, loss=loss, rng=rng, needs_input_grad=False)
    optimizer = SGD(LEARNING_RATE)

    def train(batch: int, steps: int) -> float:
        count = batch * steps
        data = Dataset(images[:count], labels[:count], np.random.default_rng(0), scale_pixels)
        start = time.perf_counter()
        train_epoch(model, data, optimizer, batch)
        return time.perf_counter() - start

    return train


def _products() -> Contestant:
    rng = np.random.default_rng(0)

    def multiply(batch: int, steps: int) -> float:
        weights = [rng.random((outputs, inputs), np.float32) for inputs, outputs in pairwise(SIZES)]
        activations = [rng.random((batch, SIZES[0]), np.float32).T]
        activations += [rng.random((size, batch), np.float32) for size in SIZES[1:-1]]
        gradients = [rng.random((size, batch), np.float32) for size in SIZES[1:]]
        layers = list(zip(weights, activations, gradients, strict=True))
        start = time.perf_counter()
        for _ in range(steps):
            for w, x, _ in layers:
                w @ x
            for number, (w, x, g) in reversed(list(enumerate(layers))):
                if number:
                    w.T @ g
                g @ x.T
        return time.perf_counter() - start

    return multiply


@contextmanager
def _peers(images: Array, labels: Array) -> Iterator[dict[str, Contestant]]:
    """Start the process with PyTorch and scikit-learn."""
    process = subprocess.Popen(
        [str(PEERS / "bin" / "python"), str(Path(__file__).with_name("peers.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def request(**request: Any) -> float:
        assert process.stdin
        assert process.stdout
        print(json.dumps(request), file=process.stdin, flush=True)
        return float(process.stdout.readline())

    def contestant(peer: str) -> Contestant:
        return lambda batch, steps: request(peer=peer, batch=batch, steps=steps)

    try:
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            np.savez(file, images=images, labels=labels)
            file.flush()
            threads = len(os.sched_getaffinity(0))
            request(data=file.name, sizes=SIZES, learning_rate=LEARNING_RATE, threads=threads)
        yield {TORCH: contestant(TORCH), SKLEARN: contestant(SKLEARN)}
    finally:
        process.communicate()


if __name__ == "__main__":
    sys.exit(main())
