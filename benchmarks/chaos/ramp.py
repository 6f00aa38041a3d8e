"""Up to five times as much is asked as can be answered, whatever comes of what was asked before.

The network is wide and a request has many images, so that to predict is most of its work: to read
and refuse a single image takes half as long as to answer it, and so nobody can refuse five times as
many.
"""

import time
from pathlib import Path

from benchmarks.chaos.clients import Clients
from benchmarks.chaos.open_loop import Load, TimedReply, ask_at_rate
from benchmarks.chaos.outcome import Outcome, percentile
from benchmarks.chaos.truth import Truth
from tests.service.server import Service, running

_TIMES = (0.5, 1, 2, 3, 5)
_WORKERS = 2
_IMAGES = 16
_HIDDEN_SIZES = (4096, 1024)
# What so many connections get through, each asking again a moment after it was answered.
_CONNECTIONS_AT_CAPACITY = 16
_MOST_REFUSAL_SECONDS = 0.05
_DEADLINE_SECONDS = 1.0
# The median of a second's requests, each alone; the machine has other things to do as well.
_MOST_SLOWER_AFTER = 1.5


def run(full: bool, folder: Path) -> Outcome:
    """Ask ever more often for two and a half seconds or, for CI, one second each."""
    outcome = Outcome()
    truth = Truth(folder / "models", _IMAGES, _HIDDEN_SIZES)
    truth.publish()
    seconds = 2.5 if full else 1.0
    with running(folder / "models", folder / "log", {"WEB_CONCURRENCY": str(_WORKERS)}) as service:
        capacity = _capacity(service, truth, seconds)
        before = _alone(service, truth, outcome)
        loads = {
            times: ask_at_rate(service.port, truth.octets, times * capacity, seconds)
            for times in _TIMES
        }
        after = _alone(service, truth, outcome)
    outcome.figures[f"answers a second at capacity, {_IMAGES} images each"] = f"{capacity:,.0f}"
    _judge(outcome, loads, seconds, judged=full)
    outcome.figures["a request alone, before and in the second after, median"] = (
        f"{before:.1f} ms, {after:.1f} ms"
    )
    outcome.expect(
        not full or after <= _MOST_SLOWER_AFTER * before,
        f"in the second after the load a request took {after:.1f} ms, before {before:.1f} ms",
    )
    return outcome


def _capacity(service: Service, truth: Truth, seconds: float) -> float:
    def measure(seconds: float) -> float:
        often = 1000.0 * _CONNECTIONS_AT_CAPACITY
        load = ask_at_rate(
            service.port, truth.octets, often, seconds, most_connections=_CONNECTIONS_AT_CAPACITY
        )
        return len(load.replies) / seconds

    measure(1)  # to warm up
    return measure(seconds)


def _alone(service: Service, truth: Truth, outcome: Outcome) -> float:
    """Give the milliseconds that a request takes while it is alone, the median of a second."""
    with Clients(service.port, [truth.octets], 1) as clients:
        time.sleep(1)
    bad = [reply for reply in clients.replies if not reply.is_good]
    outcome.expect(not bad, f"{len(bad)} requests failed that were alone, {bad[:1]}")
    return percentile([reply.seconds for reply in clients.replies], 50)


def _answered(loads: dict[float, Load], status: int) -> dict[float, list[TimedReply]]:
    return {
        times: [reply for reply in load.replies if reply.status == status]
        for times, load in loads.items()
    }


def _longer(replies: dict[float, list[TimedReply]], seconds: float) -> list[TimedReply]:
    return [reply for part in replies.values() for reply in part if _waited(reply) > seconds]


def _judge(outcome: Outcome, loads: dict[float, Load], seconds: float, *, judged: bool) -> None:
    """Judge the answers, and how fast they came if that is no accident of a short run."""
    accepted, refused = _answered(loads, 200), _answered(loads, 503)
    faulty = [reply for load in loads.values() for reply in load.replies if reply.fault]
    late = _longer(refused, _MOST_REFUSAL_SECONDS)
    overdue = _longer(accepted, _DEADLINE_SECONDS)
    outcome.expect(not faulty, f"{len(faulty)} wrong answers, {faulty[:1]}")
    outcome.expect(
        not (judged and overdue),
        f"{len(overdue)} accepted requests took over {_DEADLINE_SECONDS:g} s",
    )
    all_refused = sum(map(len, refused.values()))
    outcome.expect(
        not (judged and late),
        f"{len(late)} of {all_refused} refusals took over {1e3 * _MOST_REFUSAL_SECONDS:.0f} ms",
    )
    outcome.expect(all_refused > 0, "nothing was refused: the load was none")
    asked = ", ".join(f"{times:g}" for times in loads)
    most = max(loads)
    outcome.figures |= {
        f"asked {asked} times as often: accepted and refused a second": ", ".join(
            f"{len(accepted[times]) / seconds:,.0f} and {len(refused[times]) / seconds:,.0f}"
            for times in loads
        ),
        "refused within 50 ms": ", ".join(_share_in_time(refused[times]) for times in loads),
        f"refusals at {most:g} times, p50, p99 and worst": _spread(refused[most]),
        f"accepted at {most:g} times, p50, p99 and worst": _spread(accepted[most]),
        f"at {most:g} times, p99 of all from when they were due, and not sent as all waited": (
            f"{percentile([reply.ended - reply.due for reply in loads[most].replies], 99):.0f} ms, "
            f"{loads[most].unsent:,}"
        ),
    }


def _waited(reply: TimedReply) -> float:
    return reply.ended - reply.sent


def _share_in_time(refused: list[TimedReply]) -> str:
    if not refused:
        return "none refused"
    in_time = sum(_waited(reply) <= _MOST_REFUSAL_SECONDS for reply in refused)
    return f"{in_time / len(refused):.1%}"


def _spread(replies: list[TimedReply]) -> str:
    waits = [_waited(reply) for reply in replies]
    return ", ".join(f"{percentile(waits, percent):.0f} ms" for percent in (50, 99, 100))
