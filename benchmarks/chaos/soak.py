"""Every protocol is used for a long time, while the model is replaced every few seconds."""

import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.chaos.outcome import Outcome, percentile
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import Load, Reply
from benchmarks.serving.server import serve
from tests.support.processes import cpu_seconds, open_files, pinned, resident_megabytes, threads

_CONNECTIONS = 8
_LOAD = 0.7
_RELOAD_EVERY_SECONDS = 5
_MAX_GROWTH = 1.02
_MAX_SLOWDOWN = 1.2


class _Sample(NamedTuple):
    """What the worker has at a moment of `time.monotonic`."""

    at: float
    megabytes: float
    files: int
    threads: int


def run(full: bool, folder: Path) -> Outcome:
    """Send requests for ten minutes or, for CI, twelve seconds."""
    outcome = Outcome()
    seconds, warm_up, window = (600, 30, 60) if full else (12, 3, 4)
    truth = Truth(folder / "models")
    truth.publish()
    with serve(folder, folder / "models", workers=1, RELOAD_SECONDS="0.5") as server:
        (worker,) = server.workers
        with pinned(server.pid, worker):
            rate = _LOAD * _capacity(server.port, truth, worker)
            start = time.monotonic()
            with Load(server.port, truth.requests, _CONNECTIONS, rate) as load:
                samples = _watch(truth, worker, seconds)
        outcome.expect(server.workers == [worker], "the worker was lost")
        outcome.expect_sound(server)
    outcome.expect_good(load.replies)
    first, last = start + warm_up, start + seconds - window
    parts = [[s for s in samples if at <= s.at < at + window] for at in (first, last)]
    early, late = (median(sample.megabytes for sample in part) for part in parts)
    outcome.expect(late <= _MAX_GROWTH * early, f"memory grew from {early:.1f} to {late:.1f} MB")
    for what in ("files", "threads"):
        before, after = (max(getattr(sample, what) for sample in part) for part in parts)
        outcome.expect(before >= after, f"the worker's {what} went from {before} to {after}")
    p99 = [percentile(_seconds(load.replies, at, window), 99) for at in (first, last)]
    outcome.expect(
        not full or p99[1] <= _MAX_SLOWDOWN * p99[0],
        f"the p99 went from {p99[0]:.1f} to {p99[1]:.1f} ms",
    )
    outcome.figures |= {
        "requests in every protocol": f"{seconds} s at {rate:,.0f}/s",
        "reloads meanwhile": f"{truth.newest - 1}",
        f"p99 of the first {window} s after warm-up, and of the last": (
            f"{p99[0]:.1f} ms, {p99[1]:.1f} ms"
        ),
        "memory of the worker then": f"{early:.1f} MB, {late:.1f} MB",
    }
    return outcome


def _capacity(port: int, truth: Truth, worker: int) -> float:
    """Return the requests per second for which the worker would compute all the time."""
    with Load(port, truth.requests, _CONNECTIONS) as load:
        time.sleep(2)
    rate = len(load.replies) / 4
    with Load(port, truth.requests, _CONNECTIONS, rate):
        start, before = time.monotonic(), cpu_seconds(worker)
        time.sleep(3)
        share = (cpu_seconds(worker) - before) / (time.monotonic() - start)
    return rate / share


def _watch(truth: Truth, worker: int, seconds: int) -> list[_Sample]:
    """Publish versions and remove old ones, and sample the worker every second."""
    samples = []
    start = time.monotonic()
    for second in range(1, seconds + 1):
        time.sleep(max(0.0, start + second - time.monotonic()))
        now, megabytes = time.monotonic(), resident_megabytes(worker)
        samples.append(_Sample(now, megabytes, open_files(worker), threads(worker)))
        if second % _RELOAD_EVERY_SECONDS == 0 and second < seconds:
            truth.publish()
            truth.remove_all_but(newest=2)
    return samples


def _seconds(replies: list[Reply], start: float, window: float) -> list[float]:
    return [reply.seconds for reply in replies if start <= reply.due < start + window]
