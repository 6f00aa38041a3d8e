"""Hostile requests by the thousand, with a prediction after every batch."""

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.chaos.clients import Question
from benchmarks.chaos.hostile.attacks import Attack, Attacks
from benchmarks.chaos.hostile.body import MAX_BODY_BYTES
from benchmarks.chaos.hostile.client import Client, MalformedError, find_fault
from benchmarks.chaos.hostile.framing import Message
from benchmarks.chaos.hostile.pictures import large_pictures
from benchmarks.chaos.hostile.watch import Holdings, connections, holdings, troubles
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.processes import children
from benchmarks.chaos.truth import Truth
from tests.service.server import Service, running, wait_until

_SEED = 6
_WORKERS = 2
_CLIENTS = 8
_BATCH = 500
_WARM_UP = 0.2
_MOST_GROWTH = 0.05
# Of the memory, after warm-up and at the end: some of it is kept at times, and the most counts.
_SAMPLES = 3
_MOST_TOLD = 20
_PNG = ("Host: x", "Content-Type: image/png")
_SETTINGS = {
    "WEB_CONCURRENCY": str(_WORKERS),
    "MAX_BATCH": "8",
    "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    "LOG_LEVEL": "warning",
    "RELOAD_SECONDS": "0",
}


def run(full: bool, folder: Path) -> Outcome:
    """Send 100,000 hostile requests or, for CI, 4,000."""
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    with running(folder / "models", folder / "log", _SETTINGS) as service:
        wait_until(lambda: len(children(service.process.pid)) == _WORKERS, "the workers")
        _attack(outcome, service, truth, (100_000 if full else 4_000) // _BATCH)
    return outcome


class _Crowd:
    """Clients that attack together.

    Args:
        port: Of the service.
        attacks: What they send.

    Attributes:
        statuses: How often each status was answered; 0 is no answer to what was no request.
        faults: What was wrong with answers.
    """

    def __init__(self, port: int, attacks: Attacks) -> None:
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []
        self._attacks = attacks
        self._clients = [Client(port) for _ in range(_CLIENTS)]

    def attack(self, numbers: range) -> None:
        """Send the requests of some numbers, and read every answer."""
        with ThreadPoolExecutor(_CLIENTS) as pool:
            shares = [numbers[client::_CLIENTS] for client in range(_CLIENTS)]
            for statuses, faults in pool.map(self._send_all, self._clients, shares):
                self.statuses += statuses
                self.faults += faults

    def fill_up(self) -> None:
        """Have the workers take the memory that they keep for later, and at times give back."""
        for picture in large_pictures():
            data = Message("POST", "/predict", _PNG, picture).to_bytes()
            for client in self._clients:
                client.send(Attack(-1, data, is_whole=True, method="POST"))

    def leave(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def _send_all(self, client: Client, numbers: range) -> tuple[Counter[int], list[str]]:
        statuses: Counter[int] = Counter()
        faults = []
        for attack in map(self._attacks.make, numbers):
            try:
                answers = client.send(attack)
            except (MalformedError, OSError) as error:
                client.close()
                faults.append(_name(attack, f"{type(error).__name__}: {error}"))
                continue
            statuses.update([answer.status for answer in answers] or [0])
            found = (find_fault(answer, attack.method) for answer in answers)
            faults.extend(_name(attack, fault) for fault in found if fault)
        return statuses, faults


def _name(attack: Attack, fault: str) -> str:
    return f"request {attack.number} of seed {_SEED}: {fault} to {attack.data[:200]!r}"


def _attack(outcome: Outcome, service: Service, truth: Truth, batches: int) -> None:
    pids = children(service.process.pid)
    crowd = _Crowd(service.port, Attacks(_SEED, service.ask("/")[1]["doors"]))
    warm = math.ceil(_WARM_UP * batches)
    before: list[Holdings] = []
    after: list[Holdings] = []
    right = 0
    for batch in range(batches):
        crowd.attack(range(batch * _BATCH, (batch + 1) * _BATCH))
        fault = _ask(service, truth.question)
        outcome.expect(fault is None, f"batch {batch} of seed {_SEED} was followed by {fault}")
        right += fault is None
        if warm <= batch < warm + _SAMPLES:
            before.append(_at_rest(crowd, service, pids))
        elif batch >= batches - _SAMPLES:
            after.append(_at_rest(crowd, service, pids))
    lost = set(pids) - set(children(service.process.pid))
    outcome.figures["hostile requests"] = f"{batches * _BATCH:,}"
    outcome.figures["answered 2xx, 4xx, 503, not at all"] = _by_class(crowd.statuses)
    outcome.figures["right predictions, one after every batch"] = f"{right} of {batches}"
    outcome.figures["workers lost"] = f"{len(lost)}"
    outcome.expect(not lost, f"{len(lost)} workers lost")
    if not lost:
        _judge_holdings(outcome, max(before), max(after))
    said = troubles(service.log)
    outcome.figures["answers that are faults, errors logged"] = f"{len(crowd.faults)}, {len(said)}"
    outcome.failures += crowd.faults[:_MOST_TOLD] + said[:_MOST_TOLD]


def _ask(service: Service, question: Question) -> str | None:
    """Ask for a prediction, and tell what is wrong with it."""
    connection = service.connect()
    try:
        connection.request("POST", question.path, question.content, dict(question.headers))
        answer = connection.getresponse()
        body = answer.read()
    except OSError as error:
        return f"no prediction, {error}"
    finally:
        connection.close()
    if answer.status != 200:
        return f"no prediction, but {answer.status} {body[:300]!r}"
    return question.find_fault(dict(answer.getheaders()), body)


def _at_rest(crowd: _Crowd, service: Service, pids: list[int]) -> Holdings:
    crowd.fill_up()
    crowd.leave()
    wait_until(lambda: connections(service.port) == 0, "the end of all connections")
    return holdings(pids)


def _judge_holdings(outcome: Outcome, before: Holdings, after: Holdings) -> None:
    growth = after.resident_bytes / before.resident_bytes - 1
    files = after.files - before.files
    outcome.figures["memory's growth after warm-up"] = f"{growth:+.1%}"
    outcome.expect(growth <= _MOST_GROWTH, f"memory grew by {growth:.1%} after warm-up")
    outcome.expect(files <= 0, f"{files} more files are open than after warm-up")


def _by_class(statuses: Counter[int]) -> str:
    by_class = Counter[int]()
    for status, number in statuses.items():
        by_class[503 if status == 503 else status // 100] += number
    return ", ".join(f"{by_class[kind]:,}" for kind in (2, 4, 503, 0))
