"""Two processes that do nothing but predict, a core each: the limit of any server with two workers.

`python -m benchmarks.serving.forward_alone IMAGES SECONDS` is one of them; it prints images/s.
"""

import os
import subprocess
import sys
import time

import numpy as np

from benchmarks.serving.server import ROOT, WORKERS

_WARM_UP_BATCHES = 5


def images_per_second(batch: int, seconds: float) -> float:
    """Let the processes predict at the same time; give the sum of their images a second."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(batch), str(seconds)],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(WORKERS)
    ]
    for process in processes:  # all are warm before one starts
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in processes)


def main() -> None:
    """Say that it is warm, wait for a line, predict."""
    from nncore import ModelRepository

    batch, seconds = int(sys.argv[1]), float(sys.argv[2])
    model = ModelRepository(ROOT / "models").load("mnist").model
    images = np.random.default_rng(0).random((batch, *model.input_shape), np.float32)
    for _ in range(_WARM_UP_BATCHES):
        model.predict(images)
    print(flush=True)
    sys.stdin.readline()
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        model.predict(images)
        count += batch
    print(count / elapsed)


if __name__ == "__main__":
    main()
