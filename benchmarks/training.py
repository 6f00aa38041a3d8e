"""`python -m benchmarks.training`: a training step beside PyTorch, scikit-learn, and the limit.

The limit is the matrix products of a step and nothing else. All contestants train 784-512-256-10 by
plain SGD, one after another in each round. Then the step of the `default` recipe, with momentum,
schedule and augmentation, alternates with the same step in PyTorch. The images are random, four
pixels in five blank, as MNIST's are; the learning rate is so small that no number grows or
vanishes.

The peers run in `.venv-bench`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import PEERS, describe
from benchmarks.report import Goal, Rounds, arguments, publish, table, verdicts
from nncore import Dataset, scale_pixels, train_epoch
from nncore.types import Array
from trainer.augmentation import DEFAULT_STRENGTH, Augmentation
from trainer.memory import keep_freed_memory
from trainer.recipe import Recipe
from trainer.training_state import TrainingState

BATCHES = (32, 64, 128, 256, 512, 1024)
IMAGES, CLASSES = 60_000, 10
AUGMENTED = Recipe(learning_rate=1e-6)
PLAIN = replace(AUGMENTED, momentum=0, schedule="constant", augmentation=None)
SIZES = (784, *PLAIN.hidden_sizes, CLASSES)
OURS, LIMIT, TORCH, SKLEARN = "Nodestack", "matrix products", "PyTorch", "scikit-learn"
# PyTorch with one deformation for 32 images, as in Nodestack, and with one for each image.
GROUPS, EACH = f"{TORCH}, in groups", f"{TORCH}, image by image"
# The least ratio to another, by batch size.
GOALS = {
    TORCH: {32: 1.3, 64: 1.3, 128: 1.3, 256: 1.3, 512: 1.15, 1024: 1.15},
    LIMIT: {64: 0.8, 256: 0.88, 512: 0.88, 1024: 0.88},
}
RECIPE_GOALS = {GROUPS: {AUGMENTED.batch_size: 2}}
# Below these the trainer has become slow, and the command fails.
FLOORS = {TORCH: dict.fromkeys((64, 128, 256), 0.95), LIMIT: dict.fromkeys(BATCHES[1:], 0.55)}
_SETTLE_SECONDS = 0.2  # our own threads may still spin

# Trains with batches of a size for a number of steps; returns the seconds.
Contestant = Callable[[int, int], float]


def main() -> int:
    """Publish the figures; fail where a step has become slow."""
    options = arguments(__doc__, rounds=9, images=20_480)
    keep_freed_memory()
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (IMAGES, 28, 28), dtype=np.uint8)
    images[rng.random(images.shape) < 0.8] = 0
    labels = rng.integers(0, CLASSES, IMAGES)

    plain = {OURS: _nodestack(images, labels, PLAIN), LIMIT: _products()}
    augmented = {OURS: _nodestack(images, labels, AUGMENTED)}
    with _peers(images, labels) as peer:
        plain |= {name: peer(name) for name in (TORCH, SKLEARN)}
        augmented |= {name: peer(name) for name in (GROUPS, EACH)}
        figures = _measure(plain, BATCHES, options.rounds, options.images)
        batches = (AUGMENTED.batch_size,)
        recipe = _measure(augmented, batches, options.rounds, options.images)
    goals = _goals("plain step", figures, GOALS) + _goals("recipe's step", recipe, RECIPE_GOALS)
    publish(
        "training",
        _table("plain step", figures),
        _table("recipe's step", recipe),
        verdicts(goals),
        describe(peers=("torch", "scikit-learn")),
        write=options.write,
    )
    return int(not all(floor.holds for floor in _goals("plain step", figures, FLOORS)))


def _table(step: str, figures: Mapping[int, Rounds]) -> str:
    """Return the medians, and their ratios to the others, by batch size."""
    names = next(iter(figures.values())).names
    others = [name for name in names if name != OURS]
    rows = []
    for batch, rounds in figures.items():
        medians = [f"{rounds.median(name):,.0f}" for name in names]
        rows.append([batch, *medians, *(f"{rounds.ratio(OURS, other):.2f}" for other in others)])
    head = [f"{step}: images/s at batch", *names]
    return table([*head, *(f"{OURS} / {other}" for other in others)], rows)


def _goals(
    step: str, figures: Mapping[int, Rounds], limits: Mapping[str, Mapping[int, float]]
) -> list[Goal]:
    return [
        Goal(f"{step}, batch {batch}: {OURS} / {other}", ratio, limit, at_least=True)
        for other, by_batch in limits.items()
        for batch, limit in by_batch.items()
        for ratio in [figures[batch].ratio(OURS, other)]
    ]


def _measure(
    contestants: Mapping[str, Contestant], batches: Sequence[int], rounds: int, images: int
) -> dict[int, Rounds]:
    """Return images/s by batch size.

    Each round goes through all batch sizes, so that a noisy minute spoils some rounds of each and
    not every round of one.
    """
    figures = {batch: Rounds() for batch in batches}
    for batch in batches:
        for contestant in contestants.values():
            contestant(batch, 3)  # warm-up
    for _ in range(rounds):
        for batch in batches:
            speeds = {}
            for name, contestant in contestants.items():
                time.sleep(_SETTLE_SECONDS)
                steps = images // batch
                speeds[name] = steps * batch / contestant(batch, steps)
            figures[batch].append(speeds)
    return figures


def _nodestack(images: Array, labels: Array, recipe: Recipe) -> Contestant:
    shape, rng = images.shape[1:], np.random.default_rng(0)
    state = TrainingState.begin(recipe, shape, CLASSES, rng)
    strength = recipe.augmentation
    transform = Augmentation(shape, rng, strength) if strength else scale_pixels

    def train(batch: int, steps: int) -> float:
        total = batch * steps
        data = Dataset(images[:total], labels[:total], rng, transform)
        done = 0

        def after_step(count: int, _loss: float) -> None:
            nonlocal done
            done += count
            state.optimizer.lr = recipe.learning_rate_at(done / total)

        start = time.perf_counter()
        train_epoch(state.model, data, state.optimizer, batch, after_step)
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
def _peers(images: Array, labels: Array) -> Iterator[Callable[[str], Contestant]]:
    """Start the process with PyTorch and scikit-learn, and yield its contestants by name."""
    process = subprocess.Popen(
        [str(PEERS / "bin" / "python"), str(Path(__file__).with_name("peers.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def request(**request: Any) -> float:
        assert process.stdin
        assert process.stdout
        process.send_signal(signal.SIGCONT)
        print(json.dumps(request), file=process.stdin, flush=True)
        answer = float(process.stdout.readline())
        process.send_signal(signal.SIGSTOP)  # otherwise its threads spin while others are measured
        return answer

    def contestant(peer: str) -> Contestant:
        return lambda batch, steps: request(peer=peer, batch=batch, steps=steps)

    try:
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            np.savez(file, images=images, labels=labels)
            file.flush()
            request(
                data=file.name,
                sizes=SIZES,
                learning_rate=PLAIN.learning_rate,
                momentum=AUGMENTED.momentum,
                strength=asdict(DEFAULT_STRENGTH),
                threads=len(os.sched_getaffinity(0)),
            )
        yield contestant
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate()


if __name__ == "__main__":
    sys.exit(main())
