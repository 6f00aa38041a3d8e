"""Every protocol is used for a long time, while the model is replaced every few seconds."""

import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from tests.stress.conftest import Record
from tests.stress.versions import Versions, check_replies, check_workers, p99
from tests.support.load import Load
from tests.support.processes import open_files, pinned, resident_megabytes, threads
from tests.support.server import serve

pytestmark = pytest.mark.stress

CONNECTIONS = 8
LOAD, CAPACITY_SECONDS = 0.7, 3
RELOAD_EVERY_SECONDS = 5
MAX_GROWTH = 1.02
MAX_SLOWDOWN = 1.2


class Sample(NamedTuple):
    """What the worker has at a moment of `time.monotonic`."""

    at: float
    megabytes: float
    files: int
    threads: int


def test_soak(tmp_path: Path, versions: Versions, record: Record, long: bool) -> None:
    """Memory, files, threads and latency at the end are those of the beginning."""
    seconds, warm_up, window = (600, 30, 60) if long else (12, 3, 4)
    with serve(tmp_path, versions.models, workers=1, RELOAD_SECONDS="0.5") as service:
        (worker,) = service.workers
        with pinned(service.pid, worker):
            closed_loop = Load(service.port, versions.requests, CONNECTIONS).run(CAPACITY_SECONDS)
            rate = LOAD * len(closed_loop.replies) / CAPACITY_SECONDS
            start = time.monotonic()
            with Load(service.port, versions.requests, CONNECTIONS, rate) as load:
                samples = watch(versions, worker, seconds)
        assert service.workers == [worker], "the worker was lost"
        record("peak memory of the worker", check_workers(service))
    check_replies(load.replies)
    windows = [start + warm_up, start + seconds - window]
    first, last = ([s for s in samples if at <= s.at < at + window] for at in windows)
    early, late = (median(sample.megabytes for sample in part) for part in (first, last))
    times = [p99(load.replies, at, window) for at in windows]
    record("requests in every protocol", f"{seconds} s at {rate:,.0f}/s")
    record("reloads meanwhile", versions.newest - 1)
    record(
        f"p99 in the first {window} s after warm-up and in the last",
        f"{times[0]:.1f} ms, {times[1]:.1f} ms",
    )
    record("memory of the worker then", f"{early:.1f} MB, {late:.1f} MB")
    assert late <= MAX_GROWTH * early
    assert max(sample.files for sample in last) <= max(sample.files for sample in first)
    assert max(sample.threads for sample in last) <= max(sample.threads for sample in first)
    assert not long or times[1] <= MAX_SLOWDOWN * times[0]


def watch(versions: Versions, worker: int, seconds: int) -> list[Sample]:
    """Publish versions and remove old ones, and sample the worker every second."""
    samples = []
    start = time.monotonic()
    for second in range(1, seconds + 1):
        time.sleep(max(0.0, start + second - time.monotonic()))
        now, megabytes = time.monotonic(), resident_megabytes(worker)
        samples.append(Sample(now, megabytes, open_files(worker), threads(worker)))
        if second % RELOAD_EVERY_SECONDS == 0 and second < seconds:
            versions.publish()
            versions.remove_all_but(newest=2)
    return samples
