"""Every protocol is used for a long time, while the model is replaced every few seconds."""

import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.stress.conftest import LONG, Record
from tests.stress.versions import Versions, check_replies, check_workers, p99
from tests.support.load import Load
from tests.support.processes import open_files, pinned, resident_megabytes, threads
from tests.support.server import serve

pytestmark = pytest.mark.stress

CONNECTIONS = 8
LOAD, CAPACITY_SECONDS = 0.7, 2
RELOAD_EVERY_SECONDS = 4
MAX_GROWTH, MAX_SLOWDOWN = 1.02, 1.2


class Sample(NamedTuple):
    """What the worker has at a moment of `time.monotonic`."""

    at: float
    megabytes: float
    files: int
    threads: int


def test_soak(tmp_path: Path, versions: Versions, record: Record) -> None:
    """In the long form, memory, files, threads and p99 at the end are those of the beginning."""
    seconds, warm_up, window = (600, 30, 60) if LONG else (8, 2, 2)
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
    windows = (start + warm_up, start + seconds - window)
    first, last = (
        Sample(*map(max, zip(*(s for s in samples if at <= s.at < at + window), strict=True)))
        for at in windows
    )
    early, late = (p99(load.replies, at, window) for at in windows)
    record("requests in every protocol", f"{seconds} s at {rate:,.0f}/s")
    record("reloads meanwhile", versions.numbers()[-1] - 1)
    record(f"p99 in the first {window} s and in the last", f"{early:.1f} ms, {late:.1f} ms")
    record("memory of the worker then", f"{first.megabytes:.1f} MB, {last.megabytes:.1f} MB")
    if LONG:
        assert last.megabytes <= MAX_GROWTH * first.megabytes
        assert last.files <= first.files
        assert last.threads <= first.threads
        assert late <= MAX_SLOWDOWN * early


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
            for number in versions.numbers()[:-2]:
                shutil.rmtree(versions.models / "mnist" / f"{number}")
    return samples
