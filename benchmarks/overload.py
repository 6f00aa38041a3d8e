"""`python -m benchmarks.overload`: what the service does when four times too much is asked of it.

Its capacity is what 16 connections of one image get through, each asking again once answered. Then
256 connections together ask as often as that, and then four times as often, as far as answers come:
hey does not ask again over a connection that waits. Meanwhile health and metrics are asked for over
connections of their own, from before the first of them is opened, and what is refused is looked at.
At half the capacity it is seen what predictions lose when metrics are asked for all the time.
The figures are medians over the rounds, but for the worst of health and metrics. It needs hey.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.machine import processor
from benchmarks.repeating import repeating
from benchmarks.serving.contenders import OURS, contenders
from benchmarks.serving.load import LoadError, answers, check_tools
from benchmarks.serving.protocols import PREDICT, Body
from benchmarks.serving.server import Server, ServerError
from nncore.types import Array

RESULTS = Path(__file__).with_name("results")
TIMES = 4
_CONNECTIONS_AT_CAPACITY = 16
_CONNECTIONS = 256
_PROBED = ("health", "metrics")
_PROBE_SECONDS = 0.05
_MOST_RATIO = 3.0
_MOST_PROBE_MILLISECONDS = 100.0
_WARM_UP_SECONDS = 1

Round = dict[str, float]


def main() -> int:
    """Print a table and write it to `benchmarks/results/`; fail where nothing is shed properly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="that a turn lasts")
    options = parser.parse_args()
    check_tools()
    image = np.random.default_rng(0).integers(0, 256, (1, 784), np.uint8)
    body = PREDICT.write(image)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = contenders(folder)[OURS]
        variables = {**ours.variables, "LOG_LEVEL": "info"}  # what it is unless it is set
        with Server(ours.command, folder / "log", variables) as server:
            server.wait_for(ours.path, body)
            overload = _Overload(server, ours.path, body, folder)
            overload.capacity(_WARM_UP_SECONDS)
            rounds = [overload.round(options.seconds) for _ in range(options.rounds)]
    table = "\n".join([*_table(rounds), "", *_verdicts(rounds)])
    print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overload.md").write_text(table + "\n")
    machine = {"processor": processor(), "cores": os.cpu_count()}
    document = {"rounds": rounds, "machine": machine}
    (RESULTS / "overload.json").write_text(json.dumps(document, indent=1) + "\n")
    return int(any(turn["refused"] == 0 or turn["improper"] for turn in rounds))


class _Overload:
    """Asks a server as often as it can answer, and then more often."""

    def __init__(self, server: Server, path: str, body: Body, folder: Path) -> None:
        self._server = server
        self._path = path
        self._body = body
        self._folder = folder
        self._url = f"http://127.0.0.1:{server.port}{path}"

    def capacity(self, seconds: int) -> float:
        """Give the requests a second that it gets through.

        Raises:
            LoadError: One was refused.
        """
        seen = answers(self._url, self._body, _CONNECTIONS_AT_CAPACITY, seconds, self._folder)
        if (seen.statuses != 200).any():
            raise LoadError("a request was refused at no more than capacity")
        return seen.rate

    def round(self, seconds: int) -> Round:
        """Measure at capacity, and then beyond."""
        capacity = self.capacity(seconds)
        unscraped = self._p99_at_half(capacity, seconds)
        with self._asking("/metrics", [], threading.Event()):
            scraped = self._p99_at_half(capacity, seconds)
        before = answers(self._url, self._body, _CONNECTIONS, seconds, self._folder, capacity)
        probes: dict[str, list[float]] = {f"/{what}": [] for what in _PROBED}
        improper = threading.Event()
        with self._probing(probes, improper):
            seen = answers(
                self._url, self._body, _CONNECTIONS, seconds, self._folder, TIMES * capacity
            )
        accepted, refused = seen.statuses == 200, seen.statuses == 503
        if not (accepted | refused).all():
            improper.set()
        return {
            "capacity": capacity,
            "p99 at half": unscraped,
            "p99 at half, scraped": scraped,
            "answered at capacity": before.rate,
            "accepted at capacity": before.rate * (before.statuses == 200).mean(),
            "p99 at capacity": _p99(before.seconds[before.statuses == 200]),
            "answered": seen.rate,
            "accepted": seen.rate * accepted.mean(),
            "refused": seen.rate * refused.mean(),
            "p99 accepted": _p99(seen.seconds[accepted]),
            "p50 refused": _percentile(seen.seconds[refused], 50),
            "p99 refused": _p99(seen.seconds[refused]),
            **{f"{what}, p99": _p99(np.array(probes[f"/{what}"])) for what in _PROBED},
            **{f"{what}, worst": 1e3 * max(probes[f"/{what}"]) for what in _PROBED},
            "improper": float(improper.is_set()),
        }

    def _p99_at_half(self, capacity: float, seconds: int) -> float:
        connections, rate = _CONNECTIONS_AT_CAPACITY, capacity / 2
        seen = answers(self._url, self._body, connections, seconds, self._folder, rate)
        return _p99(seen.seconds)

    @contextmanager
    def _probing(self, probes: dict[str, list[float]], improper: threading.Event) -> Iterator[None]:
        """Ask for health and metrics, and look at what is refused, until it is over."""

        def predict() -> None:
            status, headers, _ = self._server.ask(self._path, self._body)
            if status != 200 and not (status == 503 and "Retry-After" in headers):
                improper.set()

        with ExitStack() as asking:
            for path, seconds in probes.items():
                asking.enter_context(self._asking(path, seconds, improper))
            asking.enter_context(repeating(predict, _PROBE_SECONDS))
            yield

    @contextmanager
    def _asking(self, path: str, seconds: list[float], improper: threading.Event) -> Iterator[None]:
        """Ask for a path until it is over, and note how long each answer took."""

        def ask() -> None:
            start = time.perf_counter()
            status, _, _ = self._server.ask(path)
            seconds.append(time.perf_counter() - start)
            if status != 200:
                improper.set()

        with repeating(ask, _PROBE_SECONDS):
            yield


def _p99(seconds: Array) -> float:
    return _percentile(seconds, 99)


def _percentile(seconds: Array, percent: float) -> float:
    """Give a percentile in milliseconds."""
    return float(np.percentile(seconds * 1e3, percent)) if len(seconds) else float("nan")


def _table(rounds: list[Round]) -> list[str]:
    middle = {name: median(turn[name] for turn in rounds) for name in rounds[0]}
    return [
        f"| | asked {middle['capacity']:,.0f} times a second | asked {TIMES} times as often |",
        "| --- | --- | --- |",
        f"| answers a second | {middle['answered at capacity']:,.0f} | {middle['answered']:,.0f} |",
        f"| of these accepted | {middle['accepted at capacity']:,.0f} "
        f"| {middle['accepted']:,.0f} |",
        f"| p99 of the accepted | {middle['p99 at capacity']:.1f} ms "
        f"| {middle['p99 accepted']:.1f} ms |",
        f"| p50, p99 of the refused | | {middle['p50 refused']:.1f}, "
        f"{middle['p99 refused']:.1f} ms |",
        *(f"| {what}, p99 | | {middle[f'{what}, p99']:.1f} ms |" for what in _PROBED),
    ]


def _verdicts(rounds: list[Round]) -> list[str]:
    ratio = median(turn["p99 accepted"] / turn["p99 at capacity"] for turn in rounds)
    lines = [
        f"- the p99 of the accepted at most {_MOST_RATIO:g} times that at capacity: "
        + ("reached" if ratio <= _MOST_RATIO else "not reached")
        + f": {ratio:.2f}"
    ]
    cost = median(turn["p99 at half, scraped"] / turn["p99 at half"] for turn in rounds)
    lines.append(
        f"- at half the capacity, {1 / _PROBE_SECONDS:.0f} scrapes a second of the metrics: "
        f"the p99 of predictions is {cost:.2f} times that without"
    )
    for what in _PROBED:
        worst = max(turn[f"{what}, worst"] for turn in rounds)
        lines.append(
            f"- {what} within {_MOST_PROBE_MILLISECONDS:g} ms: "
            + ("reached" if worst <= _MOST_PROBE_MILLISECONDS else "not reached")
            + f": {worst:.0f} ms at worst"
        )
    improper = any(turn["improper"] for turn in rounds)
    lines.append(
        "- every refusal is a 503 with Retry-After: " + ("not reached" if improper else "reached")
    )
    return lines


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LoadError, ServerError) as error:
        sys.exit(str(error))
