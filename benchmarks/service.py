"""`python -m benchmarks.service`: the service beside others, all with two workers.

The others answer with the same network, in onnxruntime, with the same numbers. All contenders run
at the same time and take turns within each round; the figures are medians over the rounds, and a
ratio is the median of the rounds' ratios. Before, each must give the right answers. The limits are
an empty Flask route on the same server, and two processes that do nothing but predict.

It needs wrk and hey, MNIST's files in DATA_DIR, and the others' environments; a contender without
its environment is left out.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.machine import processor
from benchmarks.serving.contenders import (
    BENTOML,
    BINARY,
    EMPTY,
    FASTAPI,
    LITSERVE,
    MLSERVER,
    OURS,
    PEERS,
    Contender,
    contenders,
    installed,
    versions,
)
from benchmarks.serving.forward_alone import images_per_second
from benchmarks.serving.load import LoadError, answers, check_tools, throughput
from benchmarks.serving.protocols import PREDICT, Body
from benchmarks.serving.server import ROOT, Server, ServerError
from nncore import ModelRepository
from nncore.types import Array
from trainer.mnist import load_mnist
from trainer.onnx_export import to_onnx
from trainer.versions import load_version

RESULTS = Path(__file__).with_name("results")
FORWARD = "the forward pass alone"
_TOLERANCE = 1e-4
_SETTLE_SECONDS = 0.1
_WARM_UP_SECONDS = 1
_MOST_MEGABYTES = 90
_MOST_START_SECONDS = 1.0
_LATENCY_CONNECTIONS = 16


class Workload(NamedTuple):
    """What a request holds, and over how many connections they come."""

    images: int
    connections: int

    def __str__(self) -> str:
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"{images}, {self.connections} connection{'s' * (self.connections > 1)}"


SINGLE, SINGLES, BATCHES, LARGE = Workload(1, 1), Workload(1, 16), Workload(64, 4), Workload(256, 4)
WORKLOADS = (SINGLE, SINGLES, BATCHES, LARGE)


class Goal(NamedTuple):
    """A contender's throughput against that of others."""

    who: str
    others: tuple[str, ...]
    workload: Workload
    ratio: float


GOALS = (
    Goal(OURS, PEERS, SINGLES, 1.3),
    Goal(OURS, (EMPTY,), SINGLES, 0.75),
    Goal(OURS, (FASTAPI,), LARGE, 10),
    Goal(OURS, (MLSERVER, BENTOML, LITSERVE), LARGE, 4),
    Goal(OURS, (FORWARD,), LARGE, 0.6),
    Goal(BINARY, (OURS,), LARGE, 1.5),
)
# Below these something has broken.
FLOORS = (
    Goal(OURS, (EMPTY,), SINGLES, 0.25),
    Goal(OURS, (FASTAPI,), LARGE, 1),
    Goal(OURS, (FORWARD,), LARGE, 0.2),
)

Turn = dict[str, float]
Rounds = dict[Workload, list[Turn]]
Latencies = list[dict[str, dict[str, float]]]


def main() -> int:
    """Print tables and write them to `benchmarks/results/`; fail where something has broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="that a turn lasts")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the contenders that take part")
    options = parser.parse_args()
    check_tools()
    images, expected = _images()

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = folder / "mnist.onnx"
        model.write_bytes(to_onnx(load_version(ROOT / "models" / "mnist")))
        os.environ["MODEL"] = str(model)
        field = contenders(folder)
        if options.only:
            field = {name: field[name] for name in field if name in options.only}
        start_seconds = [_start_seconds(field[OURS], folder) for _ in range(options.rounds)]
        servers, absent = _start(field, folder, images, expected, stack)
        bench = _Bench(field, servers, images, folder, options.seconds)
        rounds = bench.throughputs(options.rounds)
        rate = min(median(turn[name] for turn in rounds[SINGLES]) for name in servers) / 2
        latencies = bench.latencies(options.rounds, rate)
        megabytes = max(servers[OURS].worker_megabytes())

    verdicts = [
        *_verdicts(rounds, GOALS),
        _latency_verdict(latencies, rate),
        _limit_verdict("MB of resident memory a worker", megabytes, _MOST_MEGABYTES),
        _limit_verdict(
            "seconds from process start to ready", median(start_seconds), _MOST_START_SECONDS
        ),
        *(f"- {name} is not measured: {why}" for name, why in absent.items()),
    ]
    table = "\n".join([*_table(rounds, latencies, rate), "", *_ratio_table(rounds), "", *verdicts])
    print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "service.md").write_text(table + "\n")
    document = {
        "requests_per_second": {str(workload): turns for workload, turns in rounds.items()},
        "latency_milliseconds": {"requests_per_second": rate, "rounds": latencies},
        "worker_megabytes": megabytes,
        "start_seconds": start_seconds,
        "versions": {
            "python": platform.python_version(),
            **{name: versions(field[name]) for name in servers if field[name].packages},
        },
        "machine": {"processor": processor(), "cores": os.cpu_count()},
    }
    (RESULTS / "service.json").write_text(json.dumps(document, indent=1) + "\n")
    return int(any("not reached" in line for line in _verdicts(rounds, FLOORS)))


class _Bench:
    """Lets contenders take turns."""

    def __init__(
        self,
        field: dict[str, Contender],
        servers: dict[str, Server],
        images: Array,
        folder: Path,
        seconds: int,
    ) -> None:
        self._seconds = seconds
        self._folder = folder
        self._urls = {
            name: f"http://127.0.0.1:{server.port}{field[name].path}"
            for name, server in servers.items()
        }
        self._bodies: dict[tuple[str, int], Body] = {
            (name, workload.images): (field[name].protocol or PREDICT).write(
                images[: workload.images]
            )
            for name in servers
            for workload in WORKLOADS
        }

    def throughputs(self, rounds: int) -> Rounds:
        """Give everyone's requests a second, round by round."""
        results: Rounds = {}
        for workload in WORKLOADS:
            for name in self._urls:
                self._throughput(name, workload, _WARM_UP_SECONDS)
            results[workload] = []
            for number in range(rounds):
                print(f"{workload}: round {number + 1} of {rounds}", file=sys.stderr)
                turn = {
                    name: self._throughput(name, workload, self._seconds) for name in self._urls
                }
                if workload == LARGE:
                    turn[FORWARD] = images_per_second(LARGE.images, self._seconds) / LARGE.images
                results[workload].append(turn)
        return results

    def latencies(self, rounds: int, rate: float) -> Latencies:
        """Give percentiles of everyone's milliseconds for one image, round by round."""
        results: Latencies = []
        for number in range(rounds):
            print(f"{rate:.0f} requests a second: round {number + 1} of {rounds}", file=sys.stderr)
            turn = {}
            for name, url in self._urls.items():
                if name == BINARY:  # hey cannot send its header
                    continue
                time.sleep(_SETTLE_SECONDS)
                body = self._bodies[name, 1]
                seen = answers(
                    url, body, _LATENCY_CONNECTIONS, 2 * self._seconds, self._folder, rate
                )
                if (seen.statuses != 200).any():
                    raise LoadError(f"{name}: {(seen.statuses != 200).sum()} requests failed")
                p50, p99 = np.percentile(seen.seconds * 1e3, (50, 99)).tolist()
                turn[name] = {"p50": p50, "p99": p99}
            results.append(turn)
        return results

    def _throughput(self, name: str, workload: Workload, seconds: int) -> float:
        time.sleep(_SETTLE_SECONDS)
        body = self._bodies[name, workload.images]
        return throughput(self._urls[name], body, workload.connections, seconds, self._folder)


def _images() -> tuple[Array, Array]:
    """Give MNIST's first test images, uint8 `(256, 784)`, and their probabilities."""
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        sys.exit("expected DATA_DIR to name a directory with MNIST's four IDX files, got none")
    test = load_mnist(Path(data_dir), Path(), mirrors=()).test
    assert test is not None
    images = test.images[: LARGE.images]
    network = ModelRepository(ROOT / "models").load("mnist").model
    probabilities = network.predict(images.astype(np.float32) / 255).T
    return images.reshape(len(images), -1), probabilities


def _start_seconds(ours: Contender, folder: Path) -> float:
    with Server(ours.command, folder / "start.log", ours.variables) as server:
        return server.wait_for("/health/ready")


def _start(
    field: dict[str, Contender], folder: Path, images: Array, expected: Array, stack: ExitStack
) -> tuple[dict[str, Server], dict[str, str]]:
    """Start all that can be started; give the servers, and why the others are absent."""
    servers: dict[str, Server] = {}
    absent: dict[str, str] = {}
    for name, contender in field.items():
        if not installed(contender):
            absent[name] = f"there is no {contender.environment}"
            continue
        server = (
            servers[OURS]
            if not contender.command
            else stack.enter_context(
                Server(contender.command, folder / f"{name}.log", contender.variables)
            )
        )
        try:
            server.wait_for(contender.path, (contender.protocol or PREDICT).write(images[:1]))
            _check(contender, server, images, expected)
            servers[name] = server
        except ServerError as error:
            absent[name] = str(error)
    return servers, absent


def _check(contender: Contender, server: Server, images: Array, expected: Array) -> None:
    """Check a contender's answers.

    Raises:
        ServerError: They are not the shipped network's.
    """
    if not contender.protocol:
        return
    for count in (1, len(images)):
        body = contender.protocol.write(images[:count])
        status, headers, answer = server.ask(contender.path, body)
        if status != 200:
            raise ServerError(f"it answers {count} images with {status}: {answer!r:.200}")
        labels, probabilities = contender.protocol.read(headers, answer)
        if not np.array_equal(labels.ravel(), expected[:count].argmax(axis=1)):
            raise ServerError(f"it gives other labels for {count} images")
        if not np.abs(probabilities - expected[:count]).max() <= _TOLERANCE:
            raise ServerError(f"it gives other probabilities for {count} images")


def _middle(turns: list[Turn], name: str) -> float:
    return median(turn[name] for turn in turns)


def _ratio(turns: list[Turn], who: str, other: str) -> float:
    return median(turn[who] / turn[other] for turn in turns)


def _table(rounds: Rounds, latencies: Latencies, rate: float) -> list[str]:
    """Tell requests a second, and milliseconds at a fixed rate."""
    head = [
        "requests a second",
        *map(str, WORKLOADS),
        f"p50 at {rate:.0f}/s",
        f"p99 at {rate:.0f}/s",
    ]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name in rounds[LARGE][0]:
        cells = [
            f"{_middle(turns, name):,.0f}" if name in turns[0] else "-" for turns in rounds.values()
        ]
        cells += [
            f"{median(turn[name][point] for turn in latencies):.1f} ms"
            if name in latencies[0]
            else "-"
            for point in ("p50", "p99")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _ratio_table(rounds: Rounds) -> list[str]:
    head = [f"{OURS} against", *map(str, WORKLOADS)]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name in rounds[LARGE][0]:
        if name != OURS:
            cells = [
                f"{_ratio(turns, OURS, name):.2f}" if name in turns[0] else "-"
                for turns in rounds.values()
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _verdicts(rounds: Rounds, goals: tuple[Goal, ...]) -> list[str]:
    """Tell of each goal whether it is reached; of several others the fastest counts."""
    lines = []
    for goal in goals:
        turns = rounds[goal.workload]
        others = [other for other in goal.others if other in turns[0]]
        if not others or goal.who not in turns[0]:
            continue
        fastest = max(others, key=lambda other: _middle(turns, other))
        ratio = _ratio(turns, goal.who, fastest)
        verdict = "reached" if ratio >= goal.ratio else "not reached"
        lines.append(
            f"- {goal.who}, {goal.workload}: {goal.ratio:g} of {' or '.join(goal.others)}: "
            f"{verdict}: {ratio:.2f}" + f" of {fastest}" * (len(others) > 1)
        )
        if (limit := _ratio(turns, FORWARD, fastest) if FORWARD in turns[0] else goal.ratio) < (
            goal.ratio
        ):
            lines[-1] += f" (the forward pass alone would be {limit:.2f})"
    return lines


def _latency_verdict(latencies: Latencies, rate: float) -> str:
    p99 = {
        name: median(turn[name]["p99"] for turn in latencies)
        for name in latencies[0]
        if name != EMPTY
    }
    best = min(p99, key=lambda name: p99[name])
    verdict = "reached" if best == OURS else f"not reached: {best} has {p99[best]:.1f} ms"
    return f"- the lowest p99 of all at {rate:.0f} requests a second: {verdict}"


def _limit_verdict(what: str, value: float, limit: float) -> str:
    verdict = "reached" if value < limit else "not reached"
    return f"- less than {limit:g} {what}: {verdict}: {value:.2f}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LoadError, ServerError) as error:
        sys.exit(str(error))
