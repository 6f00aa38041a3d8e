"""`python -m benchmarks.overload`: load shedding at the service's capacity and at four times that.

One worker runs on one core, the clients on the others. Capacity is the throughput of a closed loop
with 16 connections. Then 256 connections ask in a closed loop, and even arrivals come at capacity
and at four times capacity, on a new connection where all others wait for a response. Another
process requests health and metrics meanwhile. Figures are medians over rounds of the one-image and
the 64-image request.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.machine import describe
from benchmarks.serving.client import Load, Reply, Request
from benchmarks.serving.protocols import PREDICT
from benchmarks.serving.server import TIMEOUT_SECONDS, Server, free_port, serve
from nncore.types import Array
from tests.support.processes import pinned

RESULTS = Path(__file__).with_name("results") / "overload.md"
SIZES = (1, 64)
TIMES = 4
_CAPACITY_CONNECTIONS, _CROWD = 16, 256
# Each connection is one file, for which a worker has 2048.
_MAX_CONNECTIONS, _OPEN_FILES = 1500, 4096
_PROBED = ("/health", "/metrics")
_PROBE_SECONDS = 0.05
_MAX_QUEUE_SECONDS = 0.5
_WARM_UP_SECONDS = 1

Round = dict[str, float]


def main() -> None:
    """Print the tables and, with the default options, write them to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    options = parser.parse_args()
    rounds = measure(options.rounds, options.seconds)
    table = "\n".join([*_figures(rounds), "", *_aims(rounds), "", describe("flask", "gunicorn")])
    print(table)
    if sys.argv[1:] == []:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(table + "\n")


def measure(rounds: int, seconds: float) -> dict[int, list[Round]]:
    """Return the figures of each round by the number of images per request."""
    _raise_file_limit()
    results: dict[int, list[Round]] = {images: [] for images in SIZES}
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), workers=1, MAX_QUEUE_SECONDS=str(_MAX_QUEUE_SECONDS)) as server,
        pinned(server.pid, *server.workers),
        ProcessPoolExecutor(1, spawn) as pool,
    ):
        pool.submit(free_port).result()  # starts the process
        for number in range(rounds):
            for images in SIZES:
                print(f"{images} images: round {number + 1} of {rounds}", file=sys.stderr)
                results[images].append(_measure(server, images, seconds, pool))
    return results


def _measure(server: Server, images: int, seconds: float, pool: ProcessPoolExecutor) -> Round:
    pixels = np.random.default_rng(0).integers(0, 256, (images, 784), np.uint8)
    request = Request("/predict", PREDICT.write(pixels))
    Load(server.port, [request], _CAPACITY_CONNECTIONS).run(_WARM_UP_SECONDS)
    load = Load(server.port, [request], _CAPACITY_CONNECTIONS).run(seconds)
    capacity = len(_of(load.replies, 200)) / seconds
    figures: Round = {"capacity": capacity}
    loads = {
        "closed": Load(server.port, [request], _CROWD),
        "at capacity": Load(server.port, [request], _MAX_CONNECTIONS, capacity),
        "beyond": Load(server.port, [request], _MAX_CONNECTIONS, TIMES * capacity),
    }
    for name, load in loads.items():
        probes = pool.submit(_probe, server.port, seconds)
        replies = load.run(seconds).replies
        accepted, rejected = _of(replies, 200), _of(replies, 503)
        figures |= {
            f"{name}: accepted": len(accepted) / seconds,
            f"{name}: rejected": len(rejected) / seconds,
            f"{name}: improper": sum(reply.fault is not None for reply in replies) / seconds,
            f"{name}: unsent": load.unsent / seconds,
            f"{name}: p99 accepted": _p99(accepted),
            f"{name}: p99 rejected": _p99(rejected),
            **{f"{name}: {path}": 1e3 * worst for path, worst in probes.result().items()},
        }
        time.sleep(1)  # for the queue to become empty
    return figures


def _probe(port: int, seconds: float) -> dict[str, float]:
    """Request each path in turn for some seconds; return its longest time, endless for an error."""
    from http.client import HTTPConnection, HTTPException

    worst = dict.fromkeys(_PROBED, 0.0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in _PROBED:
            start = time.monotonic()
            connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                taken = time.monotonic() - start if response.status == 200 else np.inf
            except (OSError, HTTPException):
                taken = np.inf
            finally:
                connection.close()
            worst[path] = max(worst[path], taken)
            time.sleep(_PROBE_SECONDS)
    return worst


def _of(replies: Sequence[Reply], status: int) -> Array:
    """Return how long the responses of a status took, `(replies,)`."""
    return np.array([reply.seconds for reply in replies if reply.status == status])


def _p99(seconds: Array) -> float:
    """Return the 99th percentile in milliseconds."""
    return float(np.percentile(1e3 * seconds, 99)) if len(seconds) else float("nan")


def _figures(rounds: dict[int, list[Round]]) -> list[str]:
    heads = [f"{images} image{'s' * (images > 1)}" for images in SIZES]
    lines = [f"| | {' | '.join(heads)} |", f"|{' --- |' * (len(SIZES) + 1)}"]
    for name in rounds[SIZES[0]][0]:
        unit = "ms" if "p99" in name or "/" in name else "/s"
        cells = [f"{median(turn[name] for turn in rounds[size]):,.0f} {unit}" for size in SIZES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _aims(rounds: dict[int, list[Round]]) -> list[str]:
    """Tell of each aim whether it holds."""
    lines = ["| aim | images | measured | holds |", "| --- | --- | --- | --- |"]
    loads = ("closed", "at capacity", "beyond")
    for size, turns in rounds.items():

        def ratio(name: str, turns: list[Round] = turns) -> float:
            return median(turn[name] / turn["capacity"] for turn in turns)

        def total(what: str, turns: list[Round] = turns) -> float:
            return sum(turn[f"{load}: {what}"] for turn in turns for load in loads)

        def worst(what: str, turns: list[Round] = turns) -> float:
            return max(turn[f"{load}: {what}"] for turn in turns for load in loads)

        at, beyond = ratio("at capacity: accepted"), ratio("beyond: accepted")
        p99 = median(turn["beyond: p99 accepted"] for turn in turns)
        limit = 1500 * _MAX_QUEUE_SECONDS
        slowest = max(worst(path) for path in _PROBED)
        rows = [
            ("accepted at capacity: at least 95 %", f"{at:.0%}", at >= 0.95),
            (f"accepted at {TIMES} x: at least 90 % of capacity", f"{beyond:.0%}", beyond >= 0.9),
            (
                f"p99 of the accepted at {TIMES} x: at most {limit:.0f} ms",
                f"{p99:.0f} ms",
                p99 <= limit,
            ),
            ("every rejection is a 503 with Retry-After", "", total("improper") == 0),
            ("health and metrics: at most 100 ms", f"{slowest:.0f} ms", slowest <= 100),
        ]
        lines += [
            f"| {aim} | {size} | {measured} | {'yes' if holds else 'no'} |"
            for aim, measured, holds in rows
        ]
    return lines


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(_OPEN_FILES, hard)), hard))


if __name__ == "__main__":
    main()
