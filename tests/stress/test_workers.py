"""Workers are killed and replaced under load."""

import os
import random
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.stress.conftest import LONG, Record
from tests.stress.versions import RIGHT_CLOSED, Versions, check_replies
from tests.support.load import NO_RESPONSE, Load, Reply, Request
from tests.support.processes import children
from tests.support.server import DEADLINE_SECONDS, Service, serve, wait_until

pytestmark = pytest.mark.stress

WORKERS = 2
EVERY_SECONDS = 1.0
MAX_PAUSE_SECONDS = 0.5
CONNECTIONS = 4


def test_worker_kills(tmp_path: Path, versions: Versions, record: Record) -> None:
    """No response is wrong, and a kill loses at most the requests in flight."""
    choice, kills = random.Random(0), 60 if LONG else 3
    with (
        serve(tmp_path, versions.models, WORKERS, LOG_LEVEL="critical") as service,
        Load(service.port, [versions.request], CONNECTIONS) as load,
        Load(service.port, [Request("/health/ready")], 1, rate=20) as ready,
    ):
        for _ in range(kills):
            time.sleep(EVERY_SECONDS)
            os.kill(choice.choice(service.workers), signal.SIGKILL)
        time.sleep(2 * EVERY_SECONDS)
    right = [reply for reply in load.replies if not reply.fault]
    lost = [reply for reply in load.replies if reply.status == NO_RESPONSE]
    wrong = [reply for reply in load.replies if reply.fault and reply not in lost]
    assert not wrong, f"{len(wrong)} wrong responses: {wrong[:3]}"
    assert len(lost) <= kills * CONNECTIONS
    assert {reply.status for reply in ready.replies} <= {200, NO_RESPONSE}
    pauses = pairwise(sorted(reply.due + reply.seconds for reply in right))
    pause = max(after - before for before, after in pauses)
    record("workers killed under load", kills)
    record("responses, all right", f"{len(right):,}")
    record("requests lost with their worker, per kill", f"{len(lost) / kills:.1f}")
    record("longest time without a right response", f"{pause:.2f} s")
    assert not LONG or pause <= MAX_PAUSE_SECONDS


def test_restarts(tmp_path: Path, versions: Versions, record: Record) -> None:
    """No response is lost by SIGHUP (new workers) and SIGUSR2 with SIGTERM (a new master)."""
    times = 3 if LONG else 1
    replies: list[Reply] = []
    closing = {**versions.request.headers, "Connection": "close"}
    for _ in range(times):
        with serve(tmp_path, versions.models, WORKERS) as service:
            kept = Load(service.port, [versions.request], CONNECTIONS)
            new = Load(service.port, [replace(versions.request, headers=closing)], CONNECTIONS)
            with kept, new:
                time.sleep(1)
                replace_workers(service)
                time.sleep(1)
                replace_master(service)
                time.sleep(1)
        replies += kept.replies + new.replies
    # Each connection that is kept alive may be closed while the client sends, once per event.
    counts = check_replies(replies, reconnects=2 * times * CONNECTIONS)
    record("workers replaced by SIGHUP, and the master by SIGUSR2", f"{times} times each")
    record(RIGHT_CLOSED, counts)
    record("longest response", f"{max(reply.seconds for reply in replies):.2f} s")


def replace_workers(service: Service) -> None:
    before = set(service.workers)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: before.isdisjoint(service.workers), "the old workers end")


def replace_master(service: Service) -> None:
    """Start a second master process on the same socket, and stop the first one."""
    workers = set(service.workers)
    service.process.send_signal(signal.SIGUSR2)

    def is_complete() -> bool:
        return any(len(children(pid)) == WORKERS for pid in set(service.workers) - workers)

    wait_until(is_complete, "the second master has its workers")
    time.sleep(0.5)
    os.kill(service.pid, signal.SIGTERM)
    assert service.process.wait(DEADLINE_SECONDS) == 0
