"""Versions come, go and are damaged under load."""

from itertools import cycle
from pathlib import Path

from benchmarks.chaos.clients import Clients, Reply
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.processes import children
from benchmarks.chaos.truth import Truth
from benchmarks.chaos.upsets import Upsets
from tests.service.server import running, wait_until

_WORKERS = 2
_CLIENTS = 8
_SETTINGS = {
    "WEB_CONCURRENCY": str(_WORKERS),
    "RELOAD_SECONDS": "0.2",
    "LOG_LEVEL": "critical",  # a refusal is an error, of which there are hundreds
}
_MOST_SECONDS = 2.0


def run(full: bool, folder: Path) -> Outcome:
    """Mix in every damage, moved in at once and written slowly or, for CI, in one of these ways.

    After each few of them a sound version is published, and something else is done to the
    repository or to the workers.
    """
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    with running(folder / "models", folder / "log", _SETTINGS) as service:
        wait_until(lambda: len(children(service.process.pid)) == _WORKERS, "the workers")
        with Clients(service.port, [truth.question], _CLIENTS) as clients:
            upsets = Upsets(folder, service, truth, outcome)
            others = cycle(upsets.others)
            for batch in upsets.batches(full):
                upsets.mix_in(batch)
                upsets.publish()
                next(others)()
                upsets.check_workers()
    _judge(outcome, clients.replies, upsets)
    return outcome


def _judge(outcome: Outcome, replies: list[Reply], upsets: Upsets) -> None:
    bad = [reply for reply in replies if not reply.is_good]
    slowest = max(upsets.pick_ups)
    outcome.expect(not bad, f"{len(bad)} requests failed or were answered wrongly, {bad[:1]}")
    outcome.expect(slowest <= _MOST_SECONDS, f"a sound version was served after {slowest:.1f} s")
    outcome.figures |= {
        "sound versions": f"{upsets.sound}",
        "damaged versions, all refused": f"{upsets.damaged}, in {len(upsets.damages)} ways",
        "right answers meanwhile": f"{len(replies) - len(bad):,}",
        "failed or wrong": f"{len(bad)}",
        "until all workers serve a sound version, worst": f"{slowest:.2f} s",
    }
