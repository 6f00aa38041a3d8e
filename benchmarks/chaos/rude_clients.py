"""Clients ask as clients should, while others are slow, vanish, push or idle."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median_low

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
# From when to when, of `time.monotonic`.
_Window = tuple[float, float]


def run(full: bool, folder: Path) -> Outcome:
    """Do each harm four times or, for CI, once, for about half a second."""
    outcome = Outcome()
    rounds, seconds = (4, 0.6) if full else (1, 0.5)
    truth = Truth(folder / "models")
    truth.publish()
    undisturbed: list[_Window] = []
    disturbed: dict[str, list[_Window]] = {name: [] for name in HARMS}
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
                undisturbed += [_window(seconds), _window(seconds)]
                for name, harm in HARMS.items():
                    with harm(service.port, truth.questions, faults):
                        time.sleep(_PAUSE_SECONDS)
                        disturbed[name].append(_window(seconds))
                        most_files = max(most_files, _open_files(service) - files)
                    time.sleep(_PAUSE_SECONDS)
            with suppress(AssertionError):
                wait_until(lambda: _open_files(service) <= files, "connections to be forgotten")
            left = _open_files(service)
        log = service.log.read_text()
    outcome.expect(left <= files, f"the workers had {files} open files before, {left} after")
    outcome.expect(not faults, f"{len(faults)} faults of pipelined answers, {faults[:1]}")
    outcome.expect(not log, f"the log tells of trouble: {log[:200]}")
    _judge(outcome, clients.replies, undisturbed, disturbed, judged=full)
    outcome.figures["open files of the workers at most, and left afterwards"] = (
        f"{most_files:,} more, {left - files} more"
    )
    return outcome


def _capacity(service: Service, truth: Truth) -> float:
    for seconds in (0.5, 1.5):  # to warm up, and to measure
        with Clients(service.port, [truth.question], _CLIENTS) as clients:
            time.sleep(seconds)
    return len(clients.replies) / seconds


def _window(seconds: float) -> _Window:
    start = time.monotonic()
    time.sleep(seconds)
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
    outcome: Outcome,
    replies: list[Reply],
    undisturbed: list[_Window],
    disturbed: dict[str, list[_Window]],
    *,
    judged: bool,
) -> None:
    """Judge the answers, and how fast they came if that is no accident of a short run."""

    def p99(windows: list[_Window]) -> float:
        # Where the machine pauses, that is a matter of some windows.
        return median_low(
            percentile([r.seconds for r in replies if start <= r.asked < end], 99)
            for start, end in windows
        )

    bad = [reply for reply in replies if not reply.is_good]
    outcome.expect(not bad, f"{len(bad)} requests failed or were answered wrongly, {bad[:1]}")
    before = p99(undisturbed)
    outcome.figures |= {
        "right answers to others, failed or wrong": f"{len(replies) - len(bad):,}, {len(bad)}",
        "others' p99, undisturbed": f"{before:.1f} ms",
    }
    for name, windows in disturbed.items():
        with_harm = p99(windows)
        outcome.figures[f"{name}: others' p99"] = f"{with_harm:.1f} ms"
        outcome.expect(
            not judged or with_harm <= _MOST_RATIO * before,
            f"{name}: others' p99 went from {before:.1f} to {with_harm:.1f} ms",
        )
