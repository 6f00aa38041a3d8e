"""Workers are killed under load, and then the master."""

import http.client
import os
import random
import signal
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from statistics import median

from benchmarks.chaos.clients import Clients, Reply
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.processes import children
from benchmarks.chaos.truth import Truth
from benchmarks.repeating import repeating
from tests.service.server import Service, running, wait_until

_WORKERS = 2
_CLIENTS = 8
_EVERY_SECONDS = 1.0
_WATCH_SECONDS = 0.05
_UNSEEN_SECONDS = 0.05
_WINDOW_SECONDS = 0.1
_MOST_RECOVERY_SECONDS = 1.0
_RECOVERED = 0.8
# Of the throughput without kills: to start a worker a second takes a quarter of two cores.
_SETTLED = 0.7
_SETTLED_SECONDS = 0.4
_AROUND = 5


def run(full: bool, folder: Path) -> Outcome:
    """Kill one worker a second with SIGKILL, for a minute or, for CI, ten seconds."""
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    settings = {"WEB_CONCURRENCY": str(_WORKERS), "LOG_LEVEL": "warning"}
    with running(folder / "models", folder / "log", settings) as service:
        wait_until(lambda: len(children(service.process.pid)) == _WORKERS, "the workers")
        with Clients(service.port, [truth.question], _CLIENTS) as clients:
            time.sleep(2)
            undisturbed = len(clients.replies) / 2
            with _watching(service, outcome):
                kills = _kill(service, 60 if full else 10)
            time.sleep(2 * _EVERY_SECONDS)
    _judge(outcome, clients.replies, kills, undisturbed, judged=full)
    return outcome


def _kill(service: Service, kills: int) -> list[float]:
    choice = random.Random(0)
    times = []
    for _ in range(kills):
        time.sleep(_EVERY_SECONDS)
        os.kill(choice.choice(children(service.process.pid)), signal.SIGKILL)
        times.append(time.monotonic())
    return times


def _watching(service: Service, outcome: Outcome) -> AbstractContextManager[None]:
    """Ask whether the service is ready, and note where an answer is not true: there is a model."""

    def watch() -> None:
        # The worker that has taken the question may be killed.
        with suppress(OSError, http.client.HTTPException):
            status, answer = service.ask("/health/ready")
            outcome.expect(status == 200, f"readiness answered {status} {answer}")

    return repeating(watch, _WATCH_SECONDS)


def _judge(
    outcome: Outcome,
    replies: list[Reply],
    kills: list[float],
    undisturbed: float,
    *,
    judged: bool,
) -> None:
    """Judge the answers, and how fast they came back if that is no accident of a short run."""
    lost = [reply for reply in replies if reply.status == 0]
    wrong = [reply for reply in replies if reply.status and not reply.is_good]
    # Only what was in flight when a worker was killed may fail, or on its way over a connection
    # whose end the client had not yet seen.
    astray = [
        reply
        for reply in lost
        if not any(
            reply.asked - _UNSEEN_SECONDS <= at <= reply.asked + reply.seconds for at in kills
        )
    ]
    ends = [reply.asked + reply.seconds for reply in replies if reply.is_good]
    # The machine's own speed changes within a minute: what is usual is that around a kill.
    settled = [_rate(ends, at - _SETTLED_SECONDS, _SETTLED_SECONDS) for at in kills]
    recoveries = [
        _recovery(ends, at, median(settled[max(0, number - _AROUND) : number + _AROUND + 1]))
        for number, at in enumerate(kills)
    ]
    outcome.expect(not wrong, f"{len(wrong)} wrong answers, {wrong[:1]}")
    outcome.expect(not astray, f"{len(astray)} requests failed without a kill, {astray[:1]}")
    most = _CLIENTS * len(kills)
    outcome.expect(len(lost) <= most, f"{len(lost)} requests lost, at most {most} were in flight")
    outcome.expect(
        not judged or max(recoveries) <= _MOST_RECOVERY_SECONDS,
        f"throughput took {max(recoveries):.1f} s to recover",
    )
    outcome.expect(
        not judged or median(settled) >= _SETTLED * undisturbed,
        f"throughput was {median(settled):,.0f} a second between kills, {undisturbed:,.0f} before",
    )
    outcome.figures |= {
        "workers killed under load": f"{len(kills)}",
        "right answers meanwhile": f"{sum(reply.is_good for reply in replies):,}",
        "wrong answers": f"{len(wrong)}",
        "requests lost with their worker, a kill": f"{len(lost) / len(kills):.1f}",
        "until throughput is back, median and worst": (
            f"{median(recoveries):.1f} s, {max(recoveries):.1f} s"
        ),
    }


def _recovery(ends: list[float], kill: float, usual: float) -> float:
    """Give the seconds until answers come at the usual rate, near enough."""
    after = 0.0
    while after < 10 * _EVERY_SECONDS:
        if _rate(ends, kill + after, _WINDOW_SECONDS) >= _RECOVERED * usual:
            return after
        after += _WINDOW_SECONDS
    return after


def _rate(ends: list[float], start: float, seconds: float) -> float:
    return sum(start < end <= start + seconds for end in ends) / seconds
