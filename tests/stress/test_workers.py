"""Workers are killed, restarted, replaced and stopped under load."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.stress.conftest import Record
from tests.stress.versions import RIGHT_WRONG_CLOSED, Versions, check_replies
from tests.support.load import NO_RESPONSE, NOT_CONNECTED, Load, Reply
from tests.support.processes import children, repeating
from tests.support.server import DEADLINE_SECONDS, Service, serve, wait_until

pytestmark = pytest.mark.stress

WORKERS = 2
EVERY_SECONDS = 1.0
READINESS_SECONDS = 0.05
MAX_PAUSE_SECONDS = 0.5
# A client may send on a connection whose end it has not noticed yet.
UNSEEN_SECONDS = 0.05
CONNECTIONS = 4
GRACE_SECONDS = 8


def test_worker_kills(tmp_path: Path, versions: Versions, record: Record, long: bool) -> None:
    choice = random.Random(0)
    kills, unready = [], []
    with serve(tmp_path, versions.models, WORKERS, LOG_LEVEL="critical") as service:

        def watch() -> None:
            try:
                status, _, _ = service.send("/health/ready")
            except OSError:  # the worker that had the connection was killed
                return
            unready.extend([status] if status != 200 else [])

        with Load(service.port, [versions.request], 2 * CONNECTIONS) as load:
            time.sleep(1)
            with repeating(watch, READINESS_SECONDS):
                for _ in range(60 if long else 4):
                    time.sleep(EVERY_SECONDS)
                    os.kill(choice.choice(service.workers), signal.SIGKILL)
                    kills.append(time.monotonic())
            time.sleep(2 * EVERY_SECONDS)
    lost = [reply for reply in load.replies if reply.status == NO_RESPONSE]
    wrong = [r for r in load.replies if r.fault and r.status != NO_RESPONSE]
    assert not wrong, f"{len(wrong)} wrong responses: {wrong[:3]}"
    for reply in lost:
        end = reply.due + reply.seconds
        assert any(reply.due - UNSEEN_SECONDS <= kill <= end for kill in kills), (
            f"a request was lost without a kill: {reply}"
        )
    assert unready == []
    ends = sorted(reply.due + reply.seconds for reply in load.replies if not reply.fault)
    pause = max(after - before for before, after in pairwise(ends))
    assert not long or pause <= MAX_PAUSE_SECONDS
    record("workers killed under load", len(kills))
    record("responses right; wrong", f"{len(load.replies) - len(lost):,}; 0")
    record("requests lost with their worker, per kill", f"{len(lost) / len(kills):.1f}")
    record("longest time without a right response", f"{pause:.2f} s")


def test_restarts(tmp_path: Path, versions: Versions, record: Record, long: bool) -> None:
    """No response is lost by SIGHUP (new workers) and SIGUSR2 (a new master); SIGTERM ends it."""
    times = 3 if long else 1
    replies: list[Reply] = []
    stopped: list[Reply] = []
    seconds = []
    for _ in range(times):
        with service_under_load(tmp_path, versions, replies) as service:
            before = set(service.workers)
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: before.isdisjoint(service.workers), "the old workers end")  # noqa: B023
            time.sleep(1)
            replace_master(service)
            time.sleep(1)
        with service_under_load(tmp_path, versions, stopped) as service:
            seconds.append(stop(service))
    assert not any(reply.status == NOT_CONNECTED for reply in replies)
    # Each connection that is kept alive may be closed while the client sends, once per event.
    counts = check_replies(replies, reconnects=2 * times * CONNECTIONS)
    # Connections that no worker has accepted are reset at the end of the process.
    wrong = [reply for reply in stopped if reply.fault and reply.status > 0]
    assert not wrong, f"{len(wrong)} wrong responses at the stop: {wrong[:3]}"
    record("restarted by SIGHUP, replaced by SIGUSR2, stopped by SIGTERM", f"{times} times each")
    record(RIGHT_WRONG_CLOSED, counts)
    record("longest response at a restart", f"{max(r.seconds for r in replies):.2f} s")
    reset = sum(reply.status == NO_RESPONSE for reply in stopped)
    record("connections reset at the stop", reset)
    record("until the process has ended, longest", f"{max(seconds):.1f} s")


@contextmanager
def service_under_load(folder: Path, versions: Versions, replies: list[Reply]) -> Iterator[Service]:
    """Run the service with load on connections that are kept alive and on new ones."""
    with serve(folder, versions.models, WORKERS, GRACEFUL_TIMEOUT=str(GRACE_SECONDS)) as service:
        lasting = Load(service.port, [versions.request], CONNECTIONS)
        fleeting = Load(service.port, [versions.request], CONNECTIONS, keep_alive=False)
        with lasting, fleeting:
            time.sleep(1)
            yield service
    replies += lasting.replies + fleeting.replies


def replace_master(service: Service) -> None:
    """Start a second master process on the same socket, and stop the first one."""
    workers = set(service.workers)
    service.process.send_signal(signal.SIGUSR2)

    def is_complete() -> bool:
        return any(len(children(pid)) == WORKERS for pid in set(service.workers) - workers)

    wait_until(is_complete, "the second master has its workers")
    time.sleep(0.5)
    stop(service)


def stop(service: Service) -> float:
    """Stop a master process; return the seconds that it took."""
    start = time.monotonic()
    os.kill(service.pid, signal.SIGTERM)
    assert service.process.wait(DEADLINE_SECONDS) == 0
    seconds = time.monotonic() - start
    assert seconds <= GRACE_SECONDS
    return seconds
