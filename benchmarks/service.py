"""`python -m benchmarks.service`: the service and other servers, measured side by side.

The others answer with the same network in onnxruntime. All run with two workers at the same time
and are measured in turns; first, each must give the right probabilities. Figures are medians over
rounds, and a ratio is the median of the ratios within each round. Afterwards the CPU time per
one-image request is measured with one worker on one core and wrk on the other.

It needs wrk, MNIST's files in DATA_DIR, and the other servers' environments (`make bench` installs
them); a server without its environment is left out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.machine import describe
from benchmarks.serving.client import Load, Request
from benchmarks.serving.contenders import (
    BASELINE_COMMIT,
    BENTOML,
    BINARY,
    EMPTY,
    FASTAPI,
    LITSERVE,
    MLSERVER,
    OURS,
    Contender,
    baseline,
    contenders,
)
from benchmarks.serving.limits import FORWARD, PARSE_AND_FORWARD, limit
from benchmarks.serving.load import LoadError, throughput
from benchmarks.serving.protocols import PREDICT
from benchmarks.serving.server import ROOT, Server, ServerError, serve
from nncore.repository import ModelRepository
from nncore.types import Array
from tests.support.processes import cpu_seconds, pinned, resident_megabytes
from trainer.mnist import load_mnist

RESULTS = Path(__file__).with_name("results") / "service.md"
BASELINE = f"{OURS} at {BASELINE_COMMIT}"
_WORKERS = 2
_TOLERANCE = 1e-4
_SETTLE_SECONDS = 0.1
_CONNECTIONS = 16
_MEMORY_REQUESTS = 20


class Workload(NamedTuple):
    """Images per request, and connections."""

    images: int
    connections: int

    def __str__(self) -> str:
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"{images}, {self.connections} connection{'s' * (self.connections > 1)}"


SINGLE, SINGLES, BATCHES, LARGE = Workload(1, 1), Workload(1, 16), Workload(64, 4), Workload(256, 4)
WORKLOADS = (SINGLE, SINGLES, BATCHES, LARGE)
CPU, P50, P99 = "CPU µs/request", "p50, ms", "p99, ms"

# By what is measured, the figures of each round by contender or limit.
Figures = dict[str, list[dict[str, float]]]


class Goal(NamedTuple):
    """A measured value and its limit."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        holds = self.value >= self.limit if self.at_least else self.value <= self.limit
        bound = f"{'≥' if self.at_least else '≤'} {self.limit:g}"
        return f"| {self.what} | {bound} | {self.value:.2f} | {'yes' if holds else 'no'} |"


def main() -> None:
    """Print the tables and, with the default options, write them to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the servers to measure")
    options = parser.parse_args()
    images, expected = _images()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "mnist.onnx"
        export = (sys.executable, "-m", "trainer", "export", "models/mnist", "--onnx", str(model))
        subprocess.run(export, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        field = contenders(folder, model)
        field = {name: field[name] for name in field if name in (options.only or field)}
        bench = _Bench(images, expected, folder, options.rounds, options.seconds)
        figures, absent = bench.compare(field)
        figures[CPU] = bench.cpu_microseconds(
            {name: field[name] for name in (OURS, FASTAPI, EMPTY) if name in figures[P50][0]}
        )
        starts = [bench.start_up() for _ in range(options.rounds)]
    goals = [str(goal) for goal in _goals(figures, starts)]
    notes = [f"{name} is not measured: {reason}." for name, reason in absent.items()]
    head = ["| goal | limit | measured | holds |", "| --- | --- | --- | --- |"]
    machine = describe("gunicorn", "uvloop", "flask", "numpy")
    table = "\n".join([*_table(figures), "", *head, *goals, "", *notes, machine])
    print(table)
    if sys.argv[1:] == []:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(table + "\n")


class _Bench:
    """Measures servers in turns.

    Args:
        images: uint8 `(256, 784)`.
        expected: Their probabilities, `(256, 10)`.
        folder: For logs and bodies.
        rounds: How often everything is measured.
        seconds: How long.
    """

    def __init__(
        self, images: Array, expected: Array, folder: Path, rounds: int, seconds: int
    ) -> None:
        self._images = images
        self._expected = expected
        self._folder = folder
        self._rounds = rounds
        self._seconds = seconds

    def compare(self, field: dict[str, Contender]) -> tuple[Figures, dict[str, str]]:
        """Measure throughput and latency of all servers; return why some are absent, too."""
        figures: Figures = {}
        with ExitStack() as stack:
            servers, absent = self._start(field, _WORKERS, stack)
            for workload in WORKLOADS:
                functions: dict[str, Callable[[], float]] = {
                    name: partial(self._throughput, field[name], servers[name], workload)
                    for name in servers
                }
                if workload == LARGE:
                    body = self._folder / "pixels"
                    body.write_bytes(PREDICT.write(self._images).content)
                    for name in (FORWARD, PARSE_AND_FORWARD):
                        functions[name] = partial(limit, name, body, _WORKERS, self._seconds)
                figures[str(workload)] = self._in_turns(str(workload), functions)
            rates = figures[str(SINGLES)]
            rate = min(median(turn[name] for turn in rates) for name in servers) / 2
            figures[P50], figures[P99] = [], []
            for _ in range(self._rounds):
                points = {name: self._latency(field[name], servers[name], rate) for name in servers}
                figures[P50].append({name: p50 for name, (p50, _) in points.items()})
                figures[P99].append({name: p99 for name, (_, p99) in points.items()})
        print(f"p50 and p99 at {rate:.0f} requests/s", file=sys.stderr)
        return figures, absent

    def cpu_microseconds(self, field: dict[str, Contender]) -> list[dict[str, float]]:
        """Measure the CPU time per one-image request, one worker on a core of its own."""
        field = field | {BASELINE: baseline()}
        with ExitStack() as stack:
            servers, _ = self._start(field, 1, stack)
            stack.enter_context(
                pinned(
                    *(pid for server in servers.values() for pid in [server.pid, *server.workers])
                )
            )
            functions = {
                name: partial(self._cpu_microseconds, field[name], servers[name])
                for name in servers
            }
            return self._in_turns(CPU, functions)

    def start_up(self) -> tuple[float, float]:
        """Return the seconds until the service is ready, and a worker's memory after some load."""
        ours = {"PORT": "{port}", "LOG_LEVEL": "warning", "WEB_CONCURRENCY": str(_WORKERS)}
        command = (sys.executable, "-m", "service")
        with Server(command, self._folder / "start.log", ours) as server:
            seconds = server.wait_for("/health/ready")
        with serve(self._folder, workers=1) as server:
            for _ in range(_MEMORY_REQUESTS):
                server.send("/predict", PREDICT.write(self._images))
            return seconds, resident_megabytes(server.workers[0])

    def _in_turns(
        self, what: str, functions: Mapping[str, Callable[[], float]]
    ) -> list[dict[str, float]]:
        rounds = []
        for number in range(self._rounds + 1):  # the first one is the warm-up
            print(f"{what}: round {number} of {self._rounds}", file=sys.stderr)
            rounds.append({name: function() for name, function in functions.items()})
        return rounds[1:]

    def _throughput(self, contender: Contender, server: Server, workload: Workload) -> float:
        time.sleep(_SETTLE_SECONDS)
        body = (contender.protocol or PREDICT).write(self._images[: workload.images])
        url = f"http://127.0.0.1:{server.port}{contender.path}"
        return throughput(url, body, workload.connections, self._seconds, self._folder).rate

    def _latency(self, contender: Contender, server: Server, rate: float) -> tuple[float, float]:
        body = (contender.protocol or PREDICT).write(self._images[:1])
        load = Load(server.port, [Request(contender.path, body)], _CONNECTIONS, rate)
        replies = load.run(2 * self._seconds).replies
        if failed := [reply for reply in replies if reply.status != 200]:
            raise LoadError(f"{len(failed)} requests failed: {failed[0]}")
        p50, p99 = np.percentile([1e3 * reply.seconds for reply in replies], (50, 99)).tolist()
        return p50, p99

    def _cpu_microseconds(self, contender: Contender, server: Server) -> float:
        time.sleep(_SETTLE_SECONDS)
        (worker,) = server.workers
        url = f"http://127.0.0.1:{server.port}{contender.path}"
        body = PREDICT.write(self._images[:1])
        before = cpu_seconds(worker)
        done = throughput(url, body, _CONNECTIONS, 2 * self._seconds, self._folder)
        return 1e6 * (cpu_seconds(worker) - before) / done.requests

    def _start(
        self, field: dict[str, Contender], workers: int, stack: ExitStack
    ) -> tuple[dict[str, Server], dict[str, str]]:
        """Start the servers and check their responses; return why some are absent, too."""
        servers: dict[str, Server] = {}
        absent: dict[str, str] = {}
        for name, contender in field.items():
            if not contender.is_installed:
                absent[name] = "its environment is not installed"
                continue
            try:
                servers[name] = (
                    stack.enter_context(contender.start(self._folder / f"{name}.log", workers))
                    if contender.command
                    else servers[OURS]
                )
                protocol = contender.protocol or PREDICT
                servers[name].wait_for(contender.path, protocol.write(self._images[:1]))
                self._check(contender, servers[name])
            except ServerError as error:
                servers.pop(name, None)
                absent[name] = str(error)
        return servers, absent

    def _check(self, contender: Contender, server: Server) -> None:
        """Check a server's probabilities.

        Raises:
            ServerError: They are not the shipped network's.
        """
        if not contender.protocol:
            return
        for count in (1, len(self._images)):
            body = contender.protocol.write(self._images[:count])
            status, headers, response = server.send(contender.path, body)
            if status != 200:
                raise ServerError(f"it answers {count} images with {status}: {response!r:.200}")
            _, probabilities = contender.protocol.read(headers, response)
            if not np.abs(probabilities - self._expected[:count]).max() <= _TOLERANCE:
                raise ServerError(f"it returns other probabilities for {count} images")


def _images() -> tuple[Array, Array]:
    """Return MNIST's first test images, uint8 `(256, 784)`, and their probabilities."""
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        sys.exit("expected DATA_DIR to name a directory with MNIST's four IDX files, got none")
    test = load_mnist(Path(data_dir), Path(), mirrors=()).test
    assert test is not None
    images = test.images[: LARGE.images]
    network = ModelRepository(ROOT / "models").load("mnist").model
    probabilities = network.predict(images.astype(np.float32) / 255).T
    return images.reshape(len(images), -1), probabilities


def _ratio(turns: list[dict[str, float]], who: str, other: str) -> float:
    return median(turn[who] / turn[other] for turn in turns)


def _table(figures: Figures) -> list[str]:
    """Return the medians as a table."""
    names = list(dict.fromkeys(name for turns in figures.values() for name in turns[0]))
    heads = [f"requests/s: {what}" if what in map(str, WORKLOADS) else what for what in figures]
    lines = [f"| | {' | '.join(heads)} |", f"|{' --- |' * (len(figures) + 1)}"]
    for name in names:
        cells = [
            f"{median(turn[name] for turn in turns):,.{1 if 'ms' in what else 0}f}"
            if name in turns[0]
            else "-"
            for what, turns in figures.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _goals(figures: Figures, starts: list[tuple[float, float]]) -> list[Goal]:
    """Return the goals that can be judged by what was measured."""
    goals = []

    def compare(workload: Workload, who: str, others: dict[str, float]) -> None:
        turns = figures[str(workload)]
        for other, ratio in others.items():
            if who in turns[0] and other in turns[0]:
                what = f"requests/s, {workload}: {who} / {other}"
                goals.append(Goal(what, _ratio(turns, who, other), ratio, at_least=True))

    for workload in (SINGLE, SINGLES):
        compare(workload, OURS, {FASTAPI: 1.2, MLSERVER: 3, BENTOML: 3, LITSERVE: 3})
    compare(BATCHES, OURS, {FASTAPI: 2})
    compare(LARGE, OURS, {FASTAPI: 4, PARSE_AND_FORWARD: 0.85})
    compare(LARGE, BINARY, {FORWARD: 0.9})
    for what in (P50, P99):
        middle = {name: median(turn[name] for turn in figures[what]) for name in figures[what][0]}
        peers = [middle[name] for name in (FASTAPI, MLSERVER, BENTOML, LITSERVE) if name in middle]
        if peers:
            goals.append(
                Goal(f"{what}: {OURS} / the lowest of the others", middle[OURS] / min(peers), 1)
            )
    if BASELINE in figures[CPU][0]:
        goals.append(Goal(f"{CPU}: {OURS} / {BASELINE}", _ratio(figures[CPU], OURS, BASELINE), 0.5))
    seconds, megabytes = zip(*starts, strict=True)
    goals.append(Goal("seconds from process start to ready", median(seconds), 0.8))
    what = f"MB of a worker after {_MEMORY_REQUESTS} requests of {LARGE.images} images"
    goals.append(Goal(what, max(megabytes), 80))
    return goals


if __name__ == "__main__":
    try:
        main()
    except (LoadError, ServerError) as error:
        sys.exit(str(error))
