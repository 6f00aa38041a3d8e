"""Versions are published, damaged and removed under load."""

import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

from benchmarks.chaos.damage import Damage, copy_version, damages
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import Load
from benchmarks.serving.server import Server, serve
from nncore.repository import MANIFEST_FILE, WEIGHTS_FILE

_WORKERS = 2
_CONNECTIONS = 8
_MAX_SECONDS = 2.0
_BATCH, _MANY = 8, 100
_PATIENCE_SECONDS = 10
_POLL_SECONDS = 0.02
_PARTS, _PAUSE_SECONDS, _MAX_SLOW_BYTES = 3, 0.04, 2**24


def run(full: bool, folder: Path) -> Outcome:
    """Publish every damage, renamed into place or written slowly (in short form one of the two).

    After each few of them a sound version is published, and something else is done to the
    repository or to the workers.
    """
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    # A refusal is logged as an error, and there are hundreds.
    settings = {"RELOAD_SECONDS": "0.2", "LOG_LEVEL": "critical"}
    with (
        serve(folder, folder / "models", _WORKERS, **settings) as server,
        Load(server.port, [truth.request], _CONNECTIONS) as load,
    ):
        repository = _Repository(folder, server, truth, outcome)
        restarts = repository.damage_everything(full)
    outcome.expect_good(load.replies, reconnects=restarts * _CONNECTIONS)
    slowest = max(repository.seconds)
    outcome.expect(slowest <= _MAX_SECONDS, f"a sound version was served after {slowest:.1f} s")
    outcome.figures |= {
        "damaged versions, all refused": f"{repository.damaged}, in {repository.ways} ways",
        "sound versions": f"{truth.newest}",
        "until all workers serve a sound version, longest": f"{slowest:.2f} s",
    }
    return outcome


class _Repository:
    """Changes the repository of a running service, and waits until the service has followed.

    Attributes:
        damaged: How many versions were damaged.
        ways: In how many ways.
        seconds: From when a sound version was there until all workers served it.
    """

    def __init__(self, folder: Path, server: Server, truth: Truth, outcome: Outcome) -> None:
        self._models = folder / "models" / "mnist"
        self._workshop = folder / "workshop"
        self._workshop.mkdir()
        self._server = server
        self._truth = truth
        self._outcome = outcome
        self._workers = set(server.workers)
        self._choice = random.Random(0)
        self._sound = [1]  # the versions on disk that are sound
        self._damages = damages(self._models / "1")
        self.ways = len(self._damages)
        self.damaged = 0
        self.seconds: list[float] = []

    def damage_everything(self, full: bool) -> int:
        """Publish every damage, among other changes; return how often workers were replaced."""
        others = cycle(
            [
                self._damage_the_served_version,
                self._publish_many,
                self._repair_in_place,
                self._replace_workers,
                self._remove_the_newest,
                self._remove_the_old,
            ]
        )
        both = [(damage, slow) for damage in self._damages.values() for slow in (False, True)]
        pairs = both if full else [both[at + at // 2 % 2] for at in range(0, len(both), 2)]
        self._choice.shuffle(pairs)
        batches = [pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH)]
        restarts = 0
        for batch in batches:
            self._publish_damaged(batch)
            self._publish()
            change = next(others)
            change()
            restarts += change == self._replace_workers
            workers = set(self._server.workers)
            self._outcome.expect(workers == self._workers, "a worker was lost")
            self._workers = workers
        return restarts

    def _publish_damaged(self, batch: Sequence[tuple[Damage, bool]]) -> None:
        """Publish damaged versions; every worker must refuse each."""
        refused = self._refusals() + _WORKERS * len(batch)
        for damage, slow in batch:
            version = self._make(self._next())
            damage(version)
            (_write if slow else _rename)(version, self._models)
        self.damaged += len(batch)
        self._wait(lambda: self._refusals() >= refused, "the refusal of damaged versions")

    def _publish(self) -> None:
        self._expect_served(self._truth.publish().manifest.version)

    def _damage_the_served_version(self) -> None:
        """Flip a bit of a version that is loaded: it was sound, and is served on."""
        refused = self._refusals() + _WORKERS
        served = self._sound.pop()
        weights = self._models / str(served) / WEIGHTS_FILE
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        _write_slowly(weights, bytes(content))
        self.damaged += 1
        self._wait(lambda: self._refusals() >= refused, f"the refusal of {served}")
        self._outcome.expect(self._served() == served, f"{served} is no longer served")
        self._publish()

    def _publish_many(self) -> None:
        """Publish a hundred versions at the same time, the upper half damaged."""
        first = self._next()
        made = [self._make(number) for number in range(first, first + _MANY)]
        sound, damaged = made[: _MANY // 2], made[_MANY // 2 :]
        numbers = [int(version.name) for version in sound]
        for number in numbers:
            self._truth.add_copy(number, self._sound[-1])
        for version in damaged:
            self._choice.choice(list(self._damages.values()))(version)
        refused = self._refusals() + _WORKERS * len(damaged)
        for version in self._choice.sample(made, _MANY):
            _rename(version, self._models)
        self.damaged += len(damaged)
        self._sound += numbers[:-1]
        self._expect_served(numbers[-1])
        self._wait(lambda: self._refusals() >= refused, "the refusal of fifty versions")

    def _repair_in_place(self) -> None:
        """Write sound files over those of a version that was refused."""
        number = self._next()
        flips = [damage for name, damage in self._damages.items() if name.startswith("a bit")]
        self._publish_damaged([(self._choice.choice(flips), False)])
        version = self._make(number)
        self._truth.add_copy(number, self._sound[-1])
        for file in (WEIGHTS_FILE, MANIFEST_FILE):
            _write_slowly(self._models / str(number) / file, (version / file).read_bytes())
        shutil.rmtree(version)
        self._expect_served(number)

    def _replace_workers(self) -> None:
        """Replace the workers by SIGHUP."""
        self._server.process.send_signal(signal.SIGHUP)
        self._wait(
            lambda: self._workers.isdisjoint(self._server.workers), "the end of the old workers"
        )
        self._workers = set(self._server.workers)
        self._publish()

    def _remove_the_newest(self) -> None:
        """Return to the version before, which may not be loaded."""
        _remove(self._models / str(self._sound.pop()))
        self._wait(lambda: self._served() == self._sound[-1], "the version before")

    def _remove_the_old(self) -> None:
        """Remove all versions but the one that is served."""
        for version in self._models.iterdir():
            if version.name != str(self._sound[-1]):
                _remove(version)
        del self._sound[:-1]
        self._publish()

    def _make(self, number: int) -> Path:
        version = self._workshop / str(number)
        copy_version(self._models / str(self._sound[-1]), version)
        return version

    def _next(self) -> int:
        return 1 + max(int(version.name) for version in self._models.glob("[1-9]*"))

    def _expect_served(self, version: int) -> None:
        self._sound.append(version)
        seconds = self._wait(lambda: self._served() == version, f"version {version}")
        self.seconds.append(seconds)

    def _served(self) -> float:
        return self._metric('nodestack_model_version{model="mnist"}')

    def _refusals(self) -> float:
        return self._metric('nodestack_model_refusals_total{model="mnist"}')

    def _metric(self, name: str) -> float:
        lines = self._server.send("/metrics")[2].decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0)

    def _wait(self, condition: Callable[[], bool], what: str) -> float:
        """Return how long it takes until a condition holds; it is a failure if it never does."""
        start = time.monotonic()
        while not (holds := condition()) and time.monotonic() - start < _PATIENCE_SECONDS:
            time.sleep(_POLL_SECONDS)
        self._outcome.expect(holds, f"waited in vain for {what}")
        return time.monotonic() - start


def _rename(version: Path, folder: Path) -> None:
    """Rename a version into the folder of its model, as a publisher does."""
    version.rename(folder / version.name)


def _write(version: Path, folder: Path) -> None:
    """Write the files of a version in place, as a slow copy does."""
    if version.is_symlink() or not version.is_dir():
        _rename(version, folder)
        return
    target = folder / version.name
    target.mkdir()
    for file in sorted(version.iterdir()):
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _MAX_SLOW_BYTES:
            _rename(file, target)
        else:
            _write_slowly(target / file.name, file.read_bytes())


def _write_slowly(path: Path, content: bytes) -> None:
    """Write a file in a few parts, with a pause after each."""
    size = len(content) // _PARTS + 1
    with path.open("wb", buffering=0) as file:
        for start in range(0, max(1, len(content)), size):
            file.write(content[start : start + size])
            time.sleep(_PAUSE_SECONDS)


def _remove(version: Path) -> None:
    if version.is_dir() and not version.is_symlink():
        shutil.rmtree(version)
    else:
        version.unlink()
