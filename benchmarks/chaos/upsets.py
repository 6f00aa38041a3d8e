"""What is done to the repository of a running service."""

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

from benchmarks.chaos.arrivals import Arrival, at_once, bit_by_bit, write_slowly
from benchmarks.chaos.damage import Damage, copy_version, damages
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.processes import children
from benchmarks.chaos.scrape import figure
from benchmarks.chaos.truth import Truth
from nncore.repository import MANIFEST_FILE, WEIGHTS_FILE
from tests.service.server import Service

_BATCH = 8
_HUNDRED = 100
_PATIENCE_SECONDS = 10
_POLL_SECONDS = 0.02
# More than the workers, for who answers is chance.
_LOOKS = 8


class Upsets:
    """Damages, publishes, mends and removes versions, and waits until the service has followed.

    Args:
        folder: Has the repository `models`, whose `mnist` is served.
        service: Serves it.
        truth: Has published its first version.
        outcome: Takes what does not hold.

    Attributes:
        damages: Those there are, by what they do.
        others: What else can be done, each of it something to call.
        damaged: How many versions were damaged.
        sound: How many were sound.
        pick_ups: Seconds from when a sound version was there until all workers served it.
    """

    def __init__(self, folder: Path, service: Service, truth: Truth, outcome: Outcome) -> None:
        self._models = folder / "models" / "mnist"
        self._workshop = folder / "workshop"
        self._workshop.mkdir()
        self._service = service
        self._truth = truth
        self._outcome = outcome
        self._workers = set(children(service.process.pid))
        self._choice = random.Random(0)
        self._good = [1]  # the versions on disk that are sound
        self.damages = damages(self._models / "1")
        self.others = (
            self._damage_what_is_served,
            self._bring_a_hundred,
            self._mend_in_place,
            self._replace_workers,
            self._remove_the_newest,
            self._remove_the_old,
        )
        self.damaged = 0
        self.sound = 1
        self.pick_ups: list[float] = []

    def batches(self, full: bool) -> Iterator[list[tuple[Damage, Arrival]]]:
        """Give every damage, both at once and bit by bit or, not in full, in one of these ways."""
        ways: list[Arrival] = [at_once, bit_by_bit]
        pairs = list(product(self.damages.values(), ways))
        if not full:
            pairs = [pairs[at + at // 2 % 2] for at in range(0, len(pairs), 2)]
        self._choice.shuffle(pairs)
        for start in range(0, len(pairs), _BATCH):
            yield pairs[start : start + _BATCH]

    def mix_in(self, batch: Sequence[tuple[Damage, Arrival]]) -> None:
        """Bring damaged versions; each has to be refused by every worker."""
        refused = self._refusals()
        numbers = []
        for damage, arrive in batch:
            version = self._make(self._next())
            damage(version)
            arrive(version, self._models)
            numbers.append(int(version.name))
        self.damaged += len(batch)
        refused += len(self._workers) * len(batch)
        self._wait(
            lambda: (
                self._refusals() >= refused and all(self._tells(numbers) for _ in range(_LOOKS))
            ),
            f"the refusal of {numbers}",
        )

    def publish(self) -> None:
        """Publish a sound version."""
        self._is_served(self._truth.publish().manifest.version)

    def check_workers(self) -> None:
        """Note where a worker was lost."""
        workers = set(children(self._service.process.pid))
        self._outcome.expect(workers == self._workers, "a worker was lost")
        self._workers = workers

    def _damage_what_is_served(self) -> None:
        """Flip a bit of the version in memory: it was sound, and goes on."""
        refused = self._refusals() + len(self._workers)
        served = self._good.pop()
        weights = self._models / str(served) / WEIGHTS_FILE
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        write_slowly(weights, bytes(content))
        self.damaged += 1
        self._wait(lambda: self._refusals() >= refused, f"the refusal of {served}")
        self._outcome.expect(self._served() == served, f"{served} is no longer served")
        self.publish()

    def _bring_a_hundred(self) -> None:
        """Bring a hundred versions at the same time, and damage the upper half of them."""
        first = self._next()
        made = [self._make(number) for number in range(first, first + _HUNDRED)]
        sound, damaged = made[: _HUNDRED // 2], made[_HUNDRED // 2 :]
        numbers = [int(version.name) for version in sound]
        for number in numbers:
            self._truth.know_copy(number, self._good[-1])
        for version in damaged:
            self._choice.choice(list(self.damages.values()))(version)
        refused = self._refusals() + len(self._workers) * len(damaged)
        for version in self._choice.sample(made, _HUNDRED):
            at_once(version, self._models)
        self.damaged += len(damaged)
        self.sound += len(sound) - 1
        self._good += numbers[:-1]
        self._is_served(numbers[-1])
        self._wait(lambda: self._refusals() >= refused, "the refusal of fifty versions")

    def _mend_in_place(self) -> None:
        """Write sound files over those of a version that was refused."""
        number = self._next()
        self.mix_in([(self._choice.choice(self._file_damages()), at_once)])
        version = self._make(number)
        self._truth.know_copy(number, self._good[-1])
        for file in (WEIGHTS_FILE, MANIFEST_FILE):
            write_slowly(self._models / str(number) / file, (version / file).read_bytes())
        shutil.rmtree(version)
        self._is_served(number)

    def _file_damages(self) -> list[Damage]:
        return [damage for name, damage in self.damages.items() if name.startswith("a bit")]

    def _replace_workers(self) -> None:
        """Send the master SIGHUP."""
        self._service.process.send_signal(signal.SIGHUP)
        pid = self._service.process.pid
        self._wait(lambda: self._workers.isdisjoint(children(pid)), "the old workers' end")
        self._workers = set(children(pid))
        self.publish()

    def _remove_the_newest(self) -> None:
        """Go back to the version before, which may not have been in memory."""
        _remove(self._models / str(self._good.pop()))
        self._wait(lambda: self._served() == self._good[-1], "the version before")

    def _remove_the_old(self) -> None:
        """Remove all versions but the one that is served."""
        for version in self._models.iterdir():
            if version.name != str(self._good[-1]):
                _remove(version)
        del self._good[:-1]
        self.publish()

    def _make(self, number: int) -> Path:
        version = self._workshop / str(number)
        copy_version(self._models / str(self._good[-1]), version)
        return version

    def _next(self) -> int:
        return 1 + max(int(version.name) for version in self._models.glob("[1-9]*"))

    def _is_served(self, version: int) -> None:
        self.sound += 1
        self._good.append(version)
        self.pick_ups.append(self._wait(lambda: self._served() == version, f"version {version}"))

    def _served(self) -> float:
        return figure(self._service, 'nodestack_model_version{model="mnist"}')

    def _refusals(self) -> float:
        return figure(self._service, 'nodestack_model_refusals_total{model="mnist"}')

    def _tells(self, numbers: Sequence[int]) -> bool:
        """Whether `/models` tells that these versions are refused, and why."""
        (model,) = self._service.ask("/models")[1]["models"]
        told = {version["version"]: version for version in model["versions"]}
        return all(told.get(number, {}).get("reason") for number in numbers)

    def _wait(self, condition: Callable[[], bool], what: str) -> float:
        """Give how long it takes until something holds; it is a failure if it never does."""
        start = time.monotonic()
        while not (holds := condition()) and time.monotonic() - start < _PATIENCE_SECONDS:
            time.sleep(_POLL_SECONDS)
        self._outcome.expect(holds, f"waited in vain for {what}")
        return time.monotonic() - start


def _remove(version: Path) -> None:
    if version.is_dir() and not version.is_symlink():
        shutil.rmtree(version)
    else:
        version.unlink()
