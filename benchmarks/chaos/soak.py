"""Every protocol is asked for a long time, and the model is another one every few seconds."""

import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median

from benchmarks.chaos import processes
from benchmarks.chaos.clients import Clients, Reply
from benchmarks.chaos.outcome import Outcome, percentile
from benchmarks.chaos.truth import Truth
from tests.service.server import Service, running, wait_until

_CLIENTS = 8
_LOAD = 0.7
_CAPACITY_SECONDS = 10
_RELOAD_EVERY_SECONDS = 5
_SETTINGS = {
    "WEB_CONCURRENCY": "1",
    "RELOAD_SECONDS": "0.5",
    "LOG_LEVEL": "warning",
}
_MOST_DRIFT = 0.02
_MOST_SLOWER = 1.2


@dataclass(frozen=True)
class _Window:
    """Some seconds of the run, of `time.monotonic`."""

    start: float
    end: float

    def __contains__(self, moment: float) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True)
class _Sample:
    """What the worker has at a moment."""

    at: float
    kilobytes: int
    files: int
    threads: int


def run(full: bool, folder: Path) -> Outcome:
    """Ask for ten minutes or, for CI, twenty seconds."""
    outcome = Outcome()
    seconds, warm_up, window = (600, 30, 60) if full else (20, 4, 6)
    truth = Truth(folder / "models")
    truth.publish()
    with running(folder / "models", folder / "log", _SETTINGS) as service:
        wait_until(lambda: len(processes.children(service.process.pid)) == 1, "the worker")
        (worker,) = processes.children(service.process.pid)
        with processes.apart_from(worker):
            rate = _LOAD * _capacity(service, truth, worker)
            start = time.monotonic()
            with Clients(service.port, truth.questions, _CLIENTS, rate) as clients:
                samples = _watch(truth, worker, seconds)
        workers = processes.children(service.process.pid)
        newest = service.ask("/health")[1]["version"]
    log = service.log.read_text()
    outcome.expect(workers == [worker], "the worker was lost")
    outcome.expect(newest == truth.newest, f"version {newest} answers, not {truth.newest}")
    outcome.expect(not log, f"the log tells of trouble: {log[:200]}")
    windows = (
        _Window(start + warm_up, start + warm_up + window),
        _Window(start + seconds - window, start + seconds),
    )
    outcome.figures |= {
        "asked in every protocol, a worker with a core of its own": (
            f"{seconds} s at {rate:,.0f} a second"
        ),
        "reloads meanwhile": f"{truth.newest - 1}",
    }
    _judge_replies(outcome, clients.replies, windows, judged=full)
    _judge_worker(outcome, samples, windows)
    return outcome


def _capacity(service: Service, truth: Truth, worker: int) -> float:
    """Give the answers a second for which the worker computes all the time, when it is slowest.

    They are asked for evenly. Of those that wait for it together it gets through a third more, for
    it computes them together.
    """
    with Clients(service.port, truth.questions, _CLIENTS) as clients:
        time.sleep(1)
    rate = len(clients.replies) / 2
    shares = []
    with Clients(service.port, truth.questions, _CLIENTS, rate):
        for _ in range(_CAPACITY_SECONDS):
            start, before = time.monotonic(), processes.computing_seconds(worker)
            time.sleep(1)
            computing = processes.computing_seconds(worker) - before
            shares.append(computing / (time.monotonic() - start))
    return rate / max(shares)


def _watch(truth: Truth, worker: int, seconds: int) -> list[_Sample]:
    """Publish versions and remove old ones, and look at the worker every second."""
    samples = []
    start = time.monotonic()
    for second in range(1, seconds):
        time.sleep(max(0.0, start + second - time.monotonic()))
        samples.append(_look_at(worker))
        if second % _RELOAD_EVERY_SECONDS == 0:
            truth.publish()
            truth.remove_all_but(newest=2)
    time.sleep(max(0.0, start + seconds - time.monotonic()))
    return samples


def _look_at(pid: int) -> _Sample:
    return _Sample(
        time.monotonic(),
        processes.resident_kilobytes(pid),
        processes.open_files(pid),
        processes.threads(pid),
    )


def _judge_replies(
    outcome: Outcome, replies: list[Reply], windows: tuple[_Window, _Window], *, judged: bool
) -> None:
    """Judge the answers, and how fast they came if that is no accident of a short run."""
    bad = [reply for reply in replies if not reply.is_good]
    outcome.expect(not bad, f"{len(bad)} requests failed or were answered wrongly, {bad[:1]}")
    length = windows[0].end - windows[0].start
    seconds = [_by_second(replies, window) for window in windows]
    whole = [percentile(list(chain(*window)), 99) for window in seconds]
    usual = [median(percentile(second, 99) for second in window) for window in seconds]
    outcome.expect(
        not judged or whole[1] <= _MOST_SLOWER * whole[0],
        f"the p99 went from {whole[0]:.1f} to {whole[1]:.1f} ms, and that of the median second "
        f"from {usual[0]:.1f} to {usual[1]:.1f}",
    )
    outcome.figures |= {
        "right answers": f"{len(replies) - len(bad):,}",
        "failed or wrong": f"{len(bad)}",
        f"p99 of the first {length:.0f} s after the warm-up, and of the last": (
            f"{whole[0]:.1f} ms, {whole[1]:.1f} ms"
        ),
        "p99 of their seconds, median": f"{usual[0]:.1f} ms, {usual[1]:.1f} ms",
    }


def _by_second(replies: list[Reply], window: _Window) -> list[list[float]]:
    """Give how long the answers took to what was asked in each second."""
    seconds: defaultdict[int, list[float]] = defaultdict(list)
    for reply in replies:
        if reply.asked in window:
            seconds[int(reply.asked - window.start)].append(reply.seconds)
    return list(seconds.values())


def _judge_worker(
    outcome: Outcome, samples: list[_Sample], windows: tuple[_Window, _Window]
) -> None:
    early, late = ([sample for sample in samples if sample.at in window] for window in windows)
    before, after = (median(sample.kilobytes for sample in part) for part in (early, late))
    drift = after / before - 1
    outcome.expect(drift <= _MOST_DRIFT, f"the worker's memory grew by {drift:.1%}")
    outcome.figures["growth of the worker's memory"] = f"{drift:.1%}"
    # What loads a model opens files for a moment.
    before, after = (median(sample.files for sample in part) for part in (early, late))
    outcome.expect(before == after, f"the worker's open files went from {before} to {after}")
    # The thread that loads models ends when it has had nothing to do for some seconds.
    before, after = (max(sample.threads for sample in part) for part in (early, late))
    outcome.expect(before == after, f"the worker's threads went from {before} to {after}")
