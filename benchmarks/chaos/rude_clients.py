"""Clients ask as clients should, while others are slow, vanish, push or idle."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.chaos import processes
from benchmarks.chaos.clients import Clients, Reply
from benchmarks.chaos.harms import HARMS
from benchmarks.chaos.outcome import Outcome, percentile
from benchmarks.chaos.truth import Truth
from tests.service.server import Service, running, wait_until

_WORKERS = 2
_CLIENTS = 16
_LOAD = 0.4
_MOST_RATIO = 2.0
_OPEN_FILES = 4096
# For what a harm began with, or left, to be over: a thousand connections are opened, say.
_PAUSE_SECONDS = 0.4
_WINDOW_SECONDS = 0.5
# From when to when, of `time.monotonic`.
_Window = tuple[float, float]
# One before a harm, and one with it.
_Pair = tuple[_Window, _Window]


def run(full: bool, folder: Path) -> Outcome:
    """Do each harm four times or, for CI, once, for half a second."""
    outcome = Outcome()
    rounds = 4 if full else 1
    truth = Truth(folder / "models")
    truth.publish()
    windows: dict[str, list[_Pair]] = {name: [] for name in HARMS}
    faults: list[str] = []
    most_files = 0
    settings = {"WEB_CONCURRENCY": str(_WORKERS), "LOG_LEVEL": "warning"}
    with _many_open_files(), running(folder / "models", folder / "log", settings) as service:
        wait_until(lambda: len(processes.children(service.process.pid)) == _WORKERS, "the workers")
        rate = _LOAD * _capacity(service, truth)
        with Clients(service.port, [truth.question], _CLIENTS, rate) as clients:
            time.sleep(1)
            files = _open_files(service)
            for _ in range(rounds):
                for name, harm in HARMS.items():
                    before = _window()
                    with harm(service.port, truth.questions, faults):
                        time.sleep(_PAUSE_SECONDS)
                        windows[name].append((before, _window()))
                        most_files = max(most_files, _open_files(service) - files)
                    time.sleep(_PAUSE_SECONDS)
            with suppress(AssertionError):
                wait_until(lambda: _open_files(service) <= files, "connections to be forgotten")
            left = _open_files(service)
        log = service.log.read_text()
    outcome.expect(left <= files, f"the workers had {files} open files before, {left} after")
    outcome.expect(not faults, f"{len(faults)} faults of pipelined answers, {faults[:1]}")
    outcome.expect(not log, f"the log tells of trouble: {log[:200]}")
    _judge(outcome, clients.replies, windows, judged=full)
    outcome.figures["open files of the workers at most, and left afterwards"] = (
        f"{most_files:,} more, {left - files} more"
    )
    return outcome


def _capacity(service: Service, truth: Truth) -> float:
    for seconds in (0.5, 1.5):  # to warm up, and to measure
        with Clients(service.port, [truth.question], _CLIENTS) as clients:
            time.sleep(seconds)
    return len(clients.replies) / seconds


def _window() -> _Window:
    start = time.monotonic()
    time.sleep(_WINDOW_SECONDS)
    return start, time.monotonic()


def _open_files(service: Service) -> int:
    return sum(map(processes.open_files, processes.children(service.process.pid)))


@contextmanager
def _many_open_files() -> Iterator[None]:
    """Let this process and those that it starts have as many connections as this takes."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[0] < _OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _judge(
    outcome: Outcome, replies: list[Reply], windows: dict[str, list[_Pair]], *, judged: bool
) -> None:
    """Judge the answers, and how fast they came if that is no accident of a short run."""

    def p99(window: _Window) -> float:
        start, end = window
        return percentile([r.seconds for r in replies if start <= r.asked < end], 99)

    bad = [reply for reply in replies if not reply.is_good]
    outcome.expect(not bad, f"{len(bad)} requests failed or were answered wrongly, {bad[:1]}")
    outcome.figures["right answers to others, failed or wrong"] = (
        f"{len(replies) - len(bad):,}, {len(bad)}"
    )
    for name, pairs in windows.items():
        # Where the machine is slow for a while, that is a matter of some pairs.
        ratio, before, during = sorted(
            (p99(during) / p99(before), p99(before), p99(during)) for before, during in pairs
        )[(len(pairs) - 1) // 2]
        outcome.figures[f"{name}: others' p99 before and meanwhile"] = (
            f"{before:.1f} ms, {during:.1f} ms"
        )
        outcome.expect(
            not judged or ratio <= _MOST_RATIO,
            f"{name}: others' p99 went from {before:.1f} to {during:.1f} ms",
        )
