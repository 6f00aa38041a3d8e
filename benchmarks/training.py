"""`python -m benchmarks.training`: a training step beside PyTorch, scikit-learn, and the limit.

The limit is the matrix products of a step and nothing else. All contestants train 784-512-256-10 by
plain SGD and take turns within each round; the figures are medians over the rounds, and a ratio is
the median of the rounds' ratios. The images are random, four pixels in five blank, as MNIST's are;
the learning rate is so small that no number grows or vanishes.

The peers run in an environment of their own, which PEERS names; without it they are left out.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import processor
from nncore import SGD, Dataset, FCModel, SoftmaxCrossEntropy, scale_pixels, train_epoch
from nncore.types import Array
from trainer.memory import keep_freed_memory

RESULTS = Path(__file__).with_name("results")
SIZES = (784, 512, 256, 10)
BATCHES = (32, 64, 128, 256, 512, 1024)
IMAGES = 60_000
LEARNING_RATE = 1e-6
OURS, LIMIT, TORCH, SKLEARN = "nodestack", "matrix products", "PyTorch", "scikit-learn"
# (than whom, batches, goal)
GOALS = (
    (TORCH, (64, 128, 256), 1.4),
    (TORCH, (512, 1024), 1.2),
    (LIMIT, (64,), 0.8),
    (LIMIT, (256, 512, 1024), 0.9),
)
# Below these something has broken.
FLOORS = ((TORCH, (64, 128, 256), 0.95), (LIMIT, BATCHES[1:], 0.55))
_SETTLE_SECONDS = 0.05  # the threads of the one before may still be spinning

Contestant = Callable[[int, int], float]
Rounds = dict[int, list[dict[str, float]]]


def main() -> int:
    """Print a table and write it to `benchmarks/results/`; fail where a step has become slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=20_480, help="that a turn trains on")
    options = parser.parse_args()
    keep_freed_memory()
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (IMAGES, 28, 28), dtype=np.uint8)
    images[rng.random(images.shape) < 0.8] = 0
    labels = rng.integers(0, SIZES[-1], IMAGES)

    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {OURS: _ours(images, labels), LIMIT: _products()}
        peers = _Peers.start(images, labels)
        if peers:
            stack.callback(peers.stop)
            contestants |= {TORCH: peers.contestant(TORCH), SKLEARN: peers.contestant(SKLEARN)}
        else:
            print("no peers' environment: PyTorch and scikit-learn are left out", file=sys.stderr)
        rounds = _measure(contestants, options.rounds, options.images)

    table = "\n".join([*_table(rounds, list(contestants)), "", *_verdicts(rounds, GOALS)])
    print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "training.md").write_text(table + "\n")
    document = {
        "images_per_second": rounds,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            **(peers.versions if peers else {}),
        },
        "machine": {"processor": processor(), "cores": os.cpu_count()},
    }
    (RESULTS / "training.json").write_text(json.dumps(document, indent=1) + "\n")
    return int(any("not reached" in line for line in _verdicts(rounds, FLOORS)))


def _measure(contestants: dict[str, Contestant], rounds: int, images: int) -> Rounds:
    """Let the contestants take turns; give the images a second of each, round by round.

    Each round goes through all batch sizes, so that a noisy minute spoils some rounds of each and
    not every round of one.
    """
    results: Rounds = {batch: [] for batch in BATCHES}
    for batch in BATCHES:
        for contestant in contestants.values():
            contestant(batch, 3)
    for _ in range(rounds):
        for batch in BATCHES:
            speeds = {}
            for name, contestant in contestants.items():
                time.sleep(_SETTLE_SECONDS)
                steps = images // batch
                speeds[name] = steps * batch / contestant(batch, steps)
            results[batch].append(speeds)
    return results


def _ours(images: Array, labels: Array) -> Contestant:
    model = FCModel(
        (28, 28),
        SIZES[1:-1],
        SIZES[-1],
        loss=SoftmaxCrossEntropy(),
        rng=np.random.default_rng(0),
        needs_input_grad=False,
    )
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


class _Peers:
    """The process in the peers' environment."""

    def __init__(self, python: Path, images: Array, labels: Array) -> None:
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("peers.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with tempfile.TemporaryDirectory() as folder:
            data = f"{folder}/data.npz"
            np.savez(data, images=images, labels=labels)
            self.versions = self._ask(
                data=data,
                sizes=SIZES,
                learning_rate=LEARNING_RATE,
                threads=len(os.sched_getaffinity(0)),
            )

    @classmethod
    def start(cls, images: Array, labels: Array) -> "_Peers | None":
        python = Path(os.environ.get("PEERS", ".venv-bench")) / "bin" / "python"
        return cls(python, images, labels) if python.exists() else None

    def contestant(self, peer: str) -> Contestant:
        def train(batch: int, steps: int) -> float:
            seconds: float = self._ask(peer=peer, batch=batch, steps=steps)["seconds"]
            return seconds

        return train

    def stop(self) -> None:
        self._process.communicate()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _ratio(rounds: Rounds, batch: int, other: str) -> float:
    return median(speeds[OURS] / speeds[other] for speeds in rounds[batch])


def _table(rounds: Rounds, names: list[str]) -> list[str]:
    others = [name for name in names if name != OURS]
    head = ["batch", *names, *(f"against {name}" for name in others)]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for batch, speeds in rounds.items():
        cells = [f"{median(turn[name] for turn in speeds):,.0f}" for name in names]
        cells += [f"{_ratio(rounds, batch, other):.2f}" for other in others]
        lines.append(f"| {batch} | {' | '.join(cells)} |")
    return lines


def _verdicts(rounds: Rounds, goals: tuple[tuple[str, tuple[int, ...], float], ...]) -> list[str]:
    lines = []
    for other, batches, goal in goals:
        if other not in rounds[BATCHES[0]][0]:
            continue
        missed = {
            batch: ratio for batch in batches if (ratio := _ratio(rounds, batch, other)) < goal
        }
        verdict = ", ".join(f"{ratio:.2f} at {batch}" for batch, ratio in missed.items())
        lines.append(
            f"- {goal:.2f} of {other} at batch {', '.join(map(str, batches))}: "
            + (f"not reached: {verdict}" if missed else "reached")
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
