"""`python -m benchmarks.service`: the service and other servers, measured side by side.

The others answer with the same network in onnxruntime. All run at the same time, with two workers
each, and are measured one after another in every round; first, each must return the right
probabilities. Then the CPU time per one-image request is measured with one worker on one core and
wrk on the other.

It needs wrk, MNIST's files in DATA_DIR, and `.venv-bench`. A server that does not start is left
out.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.contenders import (
    BASELINE,
    BENTOML,
    BINARY,
    EMPTY,
    FASTAPI,
    LITSERVE,
    MLSERVER,
    OURS,
    PACKAGES,
    Contender,
    baseline,
    contenders,
)
from benchmarks.limits import FORWARD, PARSE_AND_FORWARD, limit
from benchmarks.load import LoadError, Throughput, closed_loop
from benchmarks.machine import ONE_THREAD, ROOT, describe, load_real_mnist
from benchmarks.protocols import PREDICT
from benchmarks.report import Goal, Rounds, arguments, publish, table, verdicts
from nncore.repository import ModelRepository
from tests.support.load import Load, Request
from tests.support.processes import pinned, resident_megabytes
from tests.support.server import ServerError, Service, launched, serve, wait_until

# One worker per core, and no threads beside it, for all servers.
_WORKERS = 2
_TOLERANCE = 1e-4
_START_SECONDS = 60
_SETTLE_SECONDS = 0.1
_CONNECTIONS = 16
_MEMORY_REQUESTS = 20


class Workload(NamedTuple):
    """Images per request, and connections."""

    images: int
    connections: int

    def __str__(self) -> str:
        images, connections = ("s" * (count > 1) for count in self)
        return (
            f"requests/s: {self.images} image{images}, {self.connections} connection{connections}"
        )


SINGLE, SINGLES, BATCHES, LARGE = Workload(1, 1), Workload(1, 16), Workload(64, 4), Workload(256, 4)
CPU, P50, P99 = "CPU µs/request", "p50, ms", "p99, ms"
PEERS = (FASTAPI, MLSERVER, BENTOML, LITSERVE)
# What is measured, who, another, the least ratio.
RATIOS: list[tuple[Workload, str, str, float]] = [
    *((workload, OURS, FASTAPI, 1.2) for workload in (SINGLE, SINGLES)),
    *((workload, OURS, peer, 3) for workload in (SINGLE, SINGLES) for peer in PEERS[1:]),
    (BATCHES, OURS, FASTAPI, 2),
    (LARGE, OURS, FASTAPI, 4),
    (LARGE, OURS, PARSE_AND_FORWARD, 0.85),
    (LARGE, BINARY, FORWARD, 0.9),
]

Figures = dict[str, Rounds]


def main() -> None:
    """Publish the figures."""
    options = arguments(__doc__, rounds=5, seconds=2)
    os.environ |= ONE_THREAD
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "mnist.onnx"
        export = (sys.executable, "-m", "trainer", "export", "models/mnist", "--onnx", str(model))
        subprocess.run(export, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        bench = _Bench(folder, options.rounds, options.seconds)
        figures, rate = bench.compare(contenders(folder, model, _WORKERS))
        single = contenders(folder, model, 1)
        figures[CPU] = bench.cpu_us({name: single[name] for name in (OURS, FASTAPI, EMPTY)})
        starts = [bench.start_up() for _ in range(options.rounds)]
    publish(
        "service",
        _table(figures),
        f"p50 and p99 are those at {rate:.0f} requests/s of one image.",
        verdicts(_goals(figures, starts)),
        "\n".join(f"{name} is not measured: {why}." for name, why in bench.absent.items()),
        describe(["gunicorn", "uvloop", "flask"], PACKAGES),
        write=options.write,
    )


class _Bench:
    """Measures servers alternately; logs go to a folder.

    Attributes:
        absent: Why some servers are not measured, by name.
    """

    def __init__(self, folder: Path, rounds: int, seconds: int) -> None:
        self.absent: dict[str, str] = {}
        self._images = load_real_mnist()[1].images[: LARGE.images].reshape(LARGE.images, -1)
        network = ModelRepository(ROOT / "models").load("mnist").model
        self._expected = network.predict(self._images.astype(np.float32) / 255).T
        self._folder, self._rounds, self._seconds = folder, rounds, seconds

    def compare(self, field: Mapping[str, Contender]) -> tuple[Figures, float]:
        """Measure throughput, and latency at the same fixed rate, which is returned, too."""
        figures: Figures = {}
        with ExitStack() as stack:
            servers = self._start(field, stack)
            for workload in (SINGLE, SINGLES, BATCHES, LARGE):
                functions = {
                    name: partial(self._rate, field[name], server, workload)
                    for name, server in servers.items()
                }
                if workload == LARGE:
                    body = PREDICT.write(self._images).content
                    for name in (FORWARD, PARSE_AND_FORWARD):
                        functions[name] = partial(limit, name, body, _WORKERS, self._seconds)
                figures[str(workload)] = self._measure(str(workload), functions)
            rate = min(figures[str(SINGLES)].median(name) for name in servers) / 2
            figures[P50], figures[P99] = Rounds(), Rounds()
            for _ in range(self._rounds):
                points = {
                    name: self._latency(field[name], server, rate)
                    for name, server in servers.items()
                }
                figures[P50].append({name: p50 for name, (p50, _) in points.items()})
                figures[P99].append({name: p99 for name, (_, p99) in points.items()})
        return figures, rate

    def cpu_us(self, field: Mapping[str, Contender]) -> Rounds:
        """Measure the CPU time per one-image request, one worker on a core of its own."""
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                field = {**field, BASELINE: baseline(scratch)}
            except subprocess.CalledProcessError as error:
                self.absent[BASELINE] = str(error)
            servers = self._start(field, stack)
            pids = [pid for server in servers.values() for pid in (server.pid, *server.workers)]
            stack.enter_context(pinned(*pids))
            functions = {
                name: partial(self._cpu, field[name], server) for name, server in servers.items()
            }
            return self._measure(CPU, functions)

    def start_up(self) -> tuple[float, float]:
        """Return the seconds until the service is ready, and a worker's memory after some load."""
        start = time.perf_counter()
        with serve(self._folder, workers=_WORKERS):
            seconds = time.perf_counter() - start
        with serve(self._folder, workers=1) as server:
            for _ in range(_MEMORY_REQUESTS):
                server.send("/predict", *PREDICT.write(self._images))
            return seconds, resident_megabytes(server.workers[0])

    def _measure(self, what: str, functions: Mapping[str, Callable[[], float]]) -> Rounds:
        rounds = Rounds()
        for number in range(self._rounds + 1):  # the first one is the warm-up
            print(f"{what}: round {number} of {self._rounds}", file=sys.stderr)
            rounds.append({name: function() for name, function in functions.items()})
        return Rounds(rounds[1:])

    def _rate(self, contender: Contender, server: Service, workload: Workload) -> float:
        return self._load(contender, server, workload, self._seconds).rate

    def _cpu(self, contender: Contender, server: Service) -> float:
        return self._load(contender, server, SINGLES, 2 * self._seconds).cpu_us

    def _load(
        self, contender: Contender, server: Service, workload: Workload, seconds: int
    ) -> Throughput:
        time.sleep(_SETTLE_SECONDS)
        body = contender.protocol.write(self._images[: workload.images])
        return closed_loop(server, contender.path, body, workload.connections, seconds)

    def _latency(self, contender: Contender, server: Service, rate: float) -> tuple[float, float]:
        request = Request(contender.path, *contender.protocol.write(self._images[:1]))
        replies = Load(server.port, [request], _CONNECTIONS, rate).run(2 * self._seconds).replies
        if failed := [reply for reply in replies if reply.status != 200]:
            raise LoadError(f"{len(failed)} requests failed: {failed[0]}")
        p50, p99 = np.percentile([1e3 * reply.seconds for reply in replies], (50, 99)).tolist()
        return p50, p99

    def _start(self, field: Mapping[str, Contender], stack: ExitStack) -> dict[str, Service]:
        """Start the servers and check their predictions; note those that are absent."""
        servers: dict[str, Service] = {}
        for name, contender in field.items():
            log = self._folder / f"{name}.log"
            server = launched(contender.command, log, contender.variables, contender.folder)
            body = contender.protocol.write(self._images[:1])
            try:
                running = stack.enter_context(server) if contender.command else servers[OURS]
                answers = partial(running.answers, contender.path, *body)
                wait_until(answers, "a prediction", _START_SECONDS)
                if contender.predicts:
                    self._check(contender, running)
                servers[name] = running
            except (OSError, ServerError) as error:
                self.absent[name] = " ".join(str(error).split())[-200:]
        return servers

    def _check(self, contender: Contender, server: Service) -> None:
        """Raise ServerError where a server does not return the shipped network's probabilities."""
        for count in (1, len(self._images)):
            body = contender.protocol.write(self._images[:count])
            status, headers, response = server.send(contender.path, *body)
            if status != 200:
                raise ServerError(f"it answers {count} images with {status}: {response!r:.200}")
            probabilities = contender.protocol.read(headers, response)
            if not np.abs(probabilities - self._expected[:count]).max() <= _TOLERANCE:
                raise ServerError(f"it returns other probabilities for {count} images")


def _table(figures: Figures) -> str:
    """Return the medians as a table."""

    def cell(name: str, what: str) -> str:
        digits = 1 if what in (P50, P99) else 0
        rounds = figures[what]
        return f"{rounds.median(name):,.{digits}f}" if name in rounds.names else "-"

    names = dict.fromkeys(name for rounds in figures.values() for name in rounds.names)
    rows = [[name, *(cell(name, what) for what in figures)] for name in names]
    return table(["", *figures], rows)


def _goals(figures: Figures, starts: list[tuple[float, float]]) -> list[Goal]:
    """Return the goals that can be judged by what was measured."""
    goals = [
        Goal(f"{workload}: {who} / {other}", rounds.ratio(who, other), least_ratio, at_least=True)
        for workload, who, other, least_ratio in RATIOS
        if {who, other} <= set((rounds := figures[str(workload)]).names)
    ]
    for what in (P50, P99):
        rounds = figures[what]
        if peers := [rounds.median(name) for name in PEERS if name in rounds.names]:
            ratio = rounds.median(OURS) / min(peers)
            goals.append(Goal(f"{what}: {OURS} / the lowest of the others", ratio, 1))
    if BASELINE in figures[CPU].names:
        goals.append(Goal(f"{CPU}: {OURS} / {BASELINE}", figures[CPU].ratio(OURS, BASELINE), 0.5))
    seconds, megabytes = zip(*starts, strict=True)
    goals.append(Goal("seconds from process start to ready", float(np.median(seconds)), 0.8))
    what = f"MB of a worker after {_MEMORY_REQUESTS} requests of {LARGE.images} images"
    goals.append(Goal(what, max(megabytes), 80))
    return goals


if __name__ == "__main__":
    main()
