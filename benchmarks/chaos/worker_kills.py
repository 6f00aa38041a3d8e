"""Workers are killed under load."""

import os
import random
import signal
import time
from pathlib import Path
from statistics import median

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import Load, Reply
from benchmarks.serving.server import Server, serve
from tests.support.processes import repeating

_CONNECTIONS = 8
_EVERY_SECONDS = 1.0
_READINESS_SECONDS = 0.05
_WINDOW_SECONDS = 0.1
_MAX_RECOVERY_SECONDS = 1.0
# A client may send on a connection whose end it has not noticed yet.
_UNSEEN_SECONDS = 0.05
# Throughput is back where it is this share of the usual.
_RECOVERED = 0.8


def run(full: bool, folder: Path) -> Outcome:
    """Kill one worker per second with SIGKILL, for a minute or, for CI, six seconds."""
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    unready: list[int] = []
    with serve(folder, folder / "models", LOG_LEVEL="critical") as server:

        def watch() -> None:
            try:
                status, _, _ = server.send("/health/ready")
            except OSError:  # the worker that took the connection was killed
                return
            unready.extend([status] if status != 200 else [])

        with Load(server.port, [truth.request], _CONNECTIONS) as load:
            time.sleep(2)
            with repeating(watch, _READINESS_SECONDS):
                kills = _kill(server, 60 if full else 6)
            time.sleep(2 * _EVERY_SECONDS)
    outcome.expect(not unready, f"readiness was answered with {unready[:5]}")
    _judge(outcome, load.replies, kills, judged=full)
    return outcome


def _kill(server: Server, kills: int) -> list[float]:
    choice = random.Random(0)
    times = []
    for _ in range(kills):
        time.sleep(_EVERY_SECONDS)
        os.kill(choice.choice(server.workers), signal.SIGKILL)
        times.append(time.monotonic())
    return times


def _judge(outcome: Outcome, replies: list[Reply], kills: list[float], *, judged: bool) -> None:
    """Judge the responses, and the recovery if that is no accident of a short run."""
    lost = [reply for reply in replies if reply.status == 0]
    wrong = [reply for reply in replies if reply.fault and reply.status != 0]
    astray = [
        reply
        for reply in lost
        if not any(reply.due - _UNSEEN_SECONDS <= at <= reply.due + reply.seconds for at in kills)
    ]
    ends = [reply.due + reply.seconds for reply in replies if not reply.fault]
    usual = median(_rate(ends, at - 4 * _WINDOW_SECONDS, 4 * _WINDOW_SECONDS) for at in kills)
    recoveries = [_recovery(ends, at, usual) for at in kills]
    outcome.expect(not wrong, f"{len(wrong)} wrong responses: {wrong[:1]}")
    outcome.expect(not astray, f"{len(astray)} requests failed without a kill: {astray[:1]}")
    outcome.expect(
        not judged or max(recoveries) <= _MAX_RECOVERY_SECONDS,
        f"throughput took {max(recoveries):.1f} s to recover",
    )
    outcome.figures |= {
        "workers killed under load": f"{len(kills)}",
        "right responses; wrong": f"{len(ends):,}; {len(wrong)}",
        "requests lost with their worker, per kill": f"{len(lost) / len(kills):.1f}",
        "until throughput is back, median and longest": (
            f"{median(recoveries):.1f} s, {max(recoveries):.1f} s"
        ),
    }


def _recovery(ends: list[float], kill: float, usual: float) -> float:
    """Return the seconds until throughput is back."""
    after = 0.0
    while after < 10 * _EVERY_SECONDS:
        if _rate(ends, kill + after, _WINDOW_SECONDS) >= _RECOVERED * usual:
            break
        after += _WINDOW_SECONDS
    return after


def _rate(ends: list[float], start: float, seconds: float) -> float:
    return sum(start < end <= start + seconds for end in ends) / seconds
