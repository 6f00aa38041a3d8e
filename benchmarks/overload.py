"""`python -m benchmarks.overload`: load shedding at the service's capacity and at four times that.

One worker runs on one core, the clients on the others. Capacity is the throughput of a closed loop
with 16 connections. Then 256 connections send in a closed loop, and requests arrive evenly at
capacity and at four times capacity. Another process requests health and metrics meanwhile.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import numpy as np

from benchmarks.machine import describe
from benchmarks.protocols import PREDICT
from benchmarks.report import Goal, Rounds, arguments, publish, table, verdicts
from tests.support.load import Load, Reply, Request
from tests.support.processes import pinned
from tests.support.server import Service, free_port, serve

SIZES = (1, 64)
TIMES = 4
_CAPACITY_CONNECTIONS, _CROWD = 16, 256
# Each connection is one file, of which a worker may open 2048.
_MAX_CONNECTIONS, _OPEN_FILES = 1500, 4096
_PROBED = ("/health", "/metrics")
_PROBE_SECONDS = 0.05
_MAX_QUEUE_SECONDS = 0.5


def main() -> None:
    """Publish the figures."""
    options = arguments(__doc__, rounds=3, seconds=4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(_OPEN_FILES, hard)), hard))
    figures = {f"{images} image{'s' * (images > 1)}": Rounds() for images in SIZES}
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), workers=1, MAX_QUEUE_SECONDS=str(_MAX_QUEUE_SECONDS)) as server,
        pinned(server.pid, *server.workers),
        ProcessPoolExecutor(1, spawn) as pool,
    ):
        pool.submit(free_port).result()  # starts the process
        for number in range(options.rounds):
            for images, rounds in zip(SIZES, figures.values(), strict=True):
                print(f"{images} images: round {number + 1} of {options.rounds}", file=sys.stderr)
                rounds.append(_measure(server, images, options.seconds, pool))
    names = figures[next(iter(figures))].names
    publish(
        "overload",
        table(
            ["", *figures],
            [[name, *(f"{r.median(name):,.0f}" for r in figures.values())] for name in names],
        ),
        verdicts(goal for size, rounds in figures.items() for goal in _goals(size, rounds)),
        describe(["gunicorn", "uvloop", "flask"]),
        write=options.write,
    )


def _measure(
    server: Service, images: int, seconds: float, pool: ProcessPoolExecutor
) -> dict[str, float]:
    pixels = np.random.default_rng(0).integers(0, 256, (images, 784), np.uint8)
    request = Request("/predict", *PREDICT.write(pixels))
    Load(server.port, [request], _CAPACITY_CONNECTIONS).run(1)  # warm-up
    replies = Load(server.port, [request], _CAPACITY_CONNECTIONS).run(seconds).replies
    capacity = len(_milliseconds(replies, 200)) / seconds
    figures = {"capacity, requests/s": capacity}
    loads = {
        f"{_CROWD} connections": (_CROWD, None),
        "at capacity": (_clients(capacity), capacity),
        f"at {TIMES} times capacity": (_clients(TIMES * capacity), TIMES * capacity),
    }
    for name, (connections, rate) in loads.items():
        probe = pool.submit(_probe, server.port, seconds)
        end = time.monotonic() + seconds
        replies = Load(server.port, [request], connections, rate).run(seconds).replies
        replies = [reply for reply in replies if reply.due < end]
        accepted, rejected = _milliseconds(replies, 200), _milliseconds(replies, 503)
        figures |= {
            f"{name}: accepted/s": len(accepted) / seconds,
            f"{name}: rejected/s": len(rejected) / seconds,
            f"{name}: neither/s": sum(reply.fault is not None for reply in replies) / seconds,
            f"{name}: p99 of accepted, ms": float(np.percentile(accepted, 99)),
            f"{name}: longest /health or /metrics, ms": 1e3 * probe.result(),
        }
        time.sleep(1)  # for the queue to become empty
    return figures


def _clients(rate: float) -> int:
    """Return so many clients that each sends about once a second; no request may wait longer."""
    return min(_MAX_CONNECTIONS, int(rate) + 1)


def _milliseconds(replies: list[Reply], status: int) -> list[float]:
    return [1e3 * reply.seconds for reply in replies if reply.status == status]


def _probe(port: int, seconds: float) -> float:
    """Request paths for some seconds; return the longest time, infinite for an error."""
    worst = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in _PROBED:
            start = time.monotonic()
            try:
                urlopen(f"http://127.0.0.1:{port}{path}", timeout=20).read()
            except OSError:
                return np.inf
            worst = max(worst, time.monotonic() - start)
            time.sleep(_PROBE_SECONDS)
    return worst


def _goals(size: str, rounds: Rounds) -> list[Goal]:
    def ratio(load: str) -> float:
        return median(r[f"{load}: accepted/s"] / r["capacity, requests/s"] for r in rounds)

    def worst(what: str) -> float:
        return max(r[name] for r in rounds for name in r if name.endswith(what))

    beyond = f"at {TIMES} times capacity"
    p99 = rounds.median(f"{beyond}: p99 of accepted, ms")
    return [
        Goal(f"{size}: accepted / capacity at capacity", ratio("at capacity"), 0.95, at_least=True),
        Goal(f"{size}: accepted / capacity {beyond}", ratio(beyond), 0.9, at_least=True),
        Goal(f"{size}: p99 of accepted {beyond}, ms", p99, 1500 * _MAX_QUEUE_SECONDS),
        Goal(f"{size}: responses/s neither 200 nor 503 with Retry-After", worst("neither/s"), 0),
        Goal(f"{size}: longest /health or /metrics, ms", worst("/metrics, ms"), 100),
    ]


if __name__ == "__main__":
    main()
