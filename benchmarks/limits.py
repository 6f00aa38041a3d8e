"""The limits of any server: processes, one per core, that only parse or predict.

`python -m benchmarks.limits {forward,json} BODY SECONDS` is one of them; it prints requests/s.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import simdjson

from benchmarks.contenders import ONE_THREAD
from benchmarks.machine import ROOT
from nncore.repository import ModelRepository

FORWARD, PARSE_AND_FORWARD = "the forward pass alone", "parsing JSON and the forward pass alone"
MODES = {FORWARD: "forward", PARSE_AND_FORWARD: "json"}
_WARM_UPS = 5


def limit(name: str, body: Path, workers: int, seconds: float) -> float:
    """Return the requests per second of some processes together.

    Args:
        name: FORWARD or PARSE_AND_FORWARD.
        body: A file with the JSON of a request, `{"pixels": [...]}`.
        workers: How many processes run at the same time.
        seconds: How long.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", __spec__.name, MODES[name], str(body), str(seconds)],
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(workers)
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
    """Warm up, print a line, wait for a line, run."""
    mode, body, seconds = sys.argv[1], Path(sys.argv[2]).read_bytes(), float(sys.argv[3])
    model = ModelRepository(ROOT / "models").load("mnist").model
    images = (np.array(json.loads(body)["pixels"]) / 255).astype(np.float32)
    parser: Any = simdjson.Parser()

    def answer() -> None:
        if mode == "json":
            parser.parse(body).at_pointer("/pixels").as_buffer(of_type="u")
        model.predict(images)

    for _ in range(_WARM_UPS):
        answer()
    print(flush=True)
    sys.stdin.readline()
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        answer()
        count += 1
    print(count / elapsed)


if __name__ == "__main__":
    main()
