"""`python -m benchmarks.forward [VERSION]`: how long a version takes to answer, on one core."""

import os
import sys
from pathlib import Path

# Before numpy, which reads it once.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import timeit
from functools import partial
from statistics import median

import numpy as np

from trainer.versions import load_version

SHIPPED = Path(__file__).parents[1] / "models" / "mnist" / "1"
ROUNDS = 15


def main() -> None:
    """Print a table."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    model = load_version(path).model
    print("| images | a forward pass | an image |\n| --- | --- | --- |")
    for count in (1, 16, 256):
        images = np.random.default_rng(0).random((count, *model.input_shape), np.float32)
        timer = timeit.Timer(partial(model.predict, images))
        calls, _ = timer.autorange()
        seconds = median(timer.repeat(ROUNDS, calls)) / calls
        print(f"| {count} | {seconds * 1e6:,.0f} µs | {seconds / count * 1e6:,.1f} µs |")
    print(f"\nThe file has {(path / 'model.safetensors').stat().st_size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
