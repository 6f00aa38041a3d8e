"""The service is restarted, replaced and ended under load."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.chaos.clients import UNREACHED, Clients, Question, Reply
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.processes import children
from benchmarks.chaos.truth import Truth
from tests.service.server import DEADLINE_SECONDS, Service, running, wait_until

_WORKERS = 2
_CLIENTS = 4
_IMAGES = 16
_GRACE_SECONDS = 8
_SETTINGS = {
    "WEB_CONCURRENCY": str(_WORKERS),
    "GRACEFUL_TIMEOUT": str(_GRACE_SECONDS),
    "LOG_LEVEL": "warning",
}


def run(full: bool, folder: Path) -> Outcome:
    """Restart by SIGHUP, replace by SIGUSR2, end by SIGTERM: twice each or, for CI, once."""
    outcome = Outcome()
    truth = Truth(folder / "models", _IMAGES)
    truth.publish()
    times = 2 if full else 1
    asked: dict[str, list[Reply]] = {"restart": [], "replacement": [], "end": []}
    ends = []

    with _serving(folder) as service, load(service.port, truth.question, asked["restart"]):
        for _ in range(times):
            _restart(service)
    for _ in range(times):
        with (
            _serving(folder) as service,
            ExitStack() as stack,
            load(service.port, truth.question, asked["replacement"]),
        ):
            stack.callback(_end_successor, _start_successor(service))
            _end(service, outcome)
            time.sleep(1)
    for _ in range(times):
        with _serving(folder) as service, load(service.port, truth.question, asked["end"]):
            time.sleep(1)
            ends.append(_end(service, outcome))

    for what in ("restart", "replacement"):
        unreached = count_unreached(asked[what])
        outcome.expect(unreached == 0, f"{unreached} connections refused at a {what}")
    judge(outcome, [reply for replies in asked.values() for reply in replies])
    waits = [max(reply.seconds for reply in asked[what]) for what in ("restart", "replacement")]
    outcome.figures = {
        "restarted by SIGHUP, replaced by SIGUSR2, ended by SIGTERM": (
            f"{times} times each" if full else "once each"
        ),
        **outcome.figures,
        "connections refused at a restart or a replacement": (
            f"{count_unreached(asked['restart'] + asked['replacement'])}"
        ),
        "longest answer at a restart, at a replacement": f"{waits[0]:.1f} s, {waits[1]:.1f} s",
        "until the end, worst": f"{max(ends):.1f} s",
    }
    return outcome


@contextmanager
def load(
    port: int, question: Question, replies: list[Reply], host: str = "127.0.0.1"
) -> Iterator[None]:
    """Ask meanwhile, by clients that keep a connection and by such as open one for each question.

    Args:
        port: The service's.
        question: What they ask.
        replies: Takes, at the end, what came of it.
        host: The service's address.
    """
    with (
        Clients(port, [question], _CLIENTS, host=host) as lasting,
        Clients(port, [question], _CLIENTS, host=host, keep_alive=False) as fleeting,
    ):
        yield
    replies += lasting.replies + fleeting.replies


def judge(outcome: Outcome, replies: Sequence[Reply]) -> None:
    """Expect that whoever had a connection was answered, and rightly."""
    good = sum(reply.is_good for reply in replies)
    bad = [reply for reply in replies if not reply.is_good and reply.status != UNREACHED]
    outcome.expect(not bad, f"{len(bad)} requests were accepted and failed, {bad[:1]}")
    outcome.figures |= {
        "right answers": f"{good:,}",
        "accepted, but reset, refused or answered wrongly": f"{len(bad)}",
    }


def count_unreached(replies: Sequence[Reply]) -> int:
    """Count the questions for which there was no connection."""
    return sum(reply.status == UNREACHED for reply in replies)


@contextmanager
def _serving(folder: Path) -> Iterator[Service]:
    with running(folder / "models", folder / "log", _SETTINGS) as service:
        wait_until(lambda: len(children(service.process.pid)) == _WORKERS, "the workers")
        yield service


def _restart(service: Service) -> None:
    """Have the workers replaced, and wait until they are."""
    before = set(children(service.process.pid))
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: before.isdisjoint(children(service.process.pid)), "the old workers' end")


def _start_successor(service: Service) -> int:
    """Start a second master on the same socket, as for a new release; give its number."""
    workers = set(children(service.process.pid))
    service.process.send_signal(signal.SIGUSR2)

    def started() -> list[int]:
        others = set(children(service.process.pid)) - workers
        return [other for other in others if len(children(other)) == _WORKERS]

    wait_until(lambda: bool(started()), "the second master's workers")
    return started()[0]


def _end_successor(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not children(pid), "the second master's end")


def _end(service: Service, outcome: Outcome) -> float:
    """End a master by SIGTERM; give how long it took."""
    start = time.monotonic()
    service.process.terminate()
    code = service.process.wait(DEADLINE_SECONDS)
    seconds = time.monotonic() - start
    outcome.expect(code == 0, f"the service ended with exit code {code}")
    outcome.expect(seconds <= _GRACE_SECONDS, f"the service took {seconds:.1f} s to end")
    return seconds
