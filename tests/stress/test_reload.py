"""Versions are published, damaged, repaired and removed under load."""

import random
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import pytest

from nncore.repository import MANIFEST_FILE, WEIGHTS_FILE
from tests.stress.conftest import Record
from tests.stress.damages import Damage, copy_version, damages, flips
from tests.stress.versions import RIGHT_WRONG_CLOSED, Versions, check_replies
from tests.support.load import Load
from tests.support.server import Service, serve, wait_until

pytestmark = pytest.mark.stress

WORKERS = 2
CONNECTIONS = 8
MAX_SECONDS = 2.0
BATCH, MANY = 8, 100
PARTS, PAUSE_SECONDS, MAX_SLOW_BYTES = 3, 0.04, 2**24


def test_reloads(tmp_path: Path, versions: Versions, record: Record, long: bool) -> None:
    """Publish every damage, renamed into place or written slowly (in short form one of the two).

    After each few of them a sound version is published, and something else is done to the
    repository.
    """
    # A refusal is logged as an error, and there are hundreds.
    settings = {"RELOAD_SECONDS": "0.2", "LOG_LEVEL": "critical"}
    with (
        serve(tmp_path, versions.models, WORKERS, **settings) as service,
        Load(service.port, [versions.request], CONNECTIONS) as load,
    ):
        repository = Repository(tmp_path / "workshop", service, versions)
        repository.damage_everything(long)
    counts = check_replies(load.replies)
    assert not long or max(repository.seconds) <= MAX_SECONDS
    record(RIGHT_WRONG_CLOSED, counts)
    record("damaged versions, all refused", repository.damaged)
    record("sound versions, all served", len(repository.seconds))
    record("until all workers serve a sound version, longest", f"{max(repository.seconds):.2f} s")


class Repository:
    """Changes the repository of a running service, and waits until the service has followed.

    Attributes:
        damaged: How many versions were damaged.
        seconds: From when a sound version was complete until all workers served it.
    """

    def __init__(self, workshop: Path, service: Service, versions: Versions) -> None:
        self.damaged = 0
        self.seconds: list[float] = []
        self._models = versions.models / "mnist"
        self._workshop = workshop
        self._service = service
        self._versions = versions
        self._choice = random.Random(0)
        self._sound = [1]  # the versions on disk that are sound
        self._damages = damages(self._models / "1")
        self._flips = flips(self._models / "1")
        workshop.mkdir()

    def damage_everything(self, long: bool) -> None:
        """Publish every damage, among other changes."""
        changes: list[Callable[[], None]] = [
            self._damage_the_served_version,
            self._publish_many,
            self._repair_in_place,
            self._remove_the_newest,
            self._remove_the_old,
        ]
        both = [(damage, slow) for damage in self._damages for slow in (False, True)]
        pairs = both if long else [both[at + at // 2 % 2] for at in range(0, len(both), 2)]
        self._choice.shuffle(pairs)
        starts = range(0, len(pairs), BATCH)
        assert len(starts) >= len(changes)
        for start, change in zip(starts, cycle(changes), strict=False):
            workers = self._service.workers
            self._publish_damaged(pairs[start : start + BATCH])
            self._publish()
            assert self._service.workers == workers, "a worker was lost"
            change()

    def _publish_damaged(self, batch: Sequence[tuple[Damage, bool]]) -> None:
        """Publish damaged versions; every worker must refuse each."""
        refused = self._refusals() + WORKERS * len(batch)
        for damage, slow in batch:
            version = self._make(self._next())
            damage(version)
            if slow and version.is_dir() and not version.is_symlink():
                copy_slowly(version, self._models / version.name)
            else:
                version.rename(self._models / version.name)
        self.damaged += len(batch)
        wait_until(lambda: self._refusals() >= refused, "damaged versions are refused")

    def _publish(self) -> None:
        self._expect_served(self._versions.publish())

    def _damage_the_served_version(self) -> None:
        """Flip a bit of a version that is loaded: it was sound, and stays in use."""
        refused = self._refusals() + WORKERS
        served = self._sound.pop()
        weights = self._models / str(served) / WEIGHTS_FILE
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        write_slowly(weights, bytes(content))
        wait_until(lambda: self._refusals() >= refused, f"version {served} is refused")
        assert self._served() == served
        self._publish()

    def _publish_many(self) -> None:
        """Publish a hundred versions at the same time, the upper half damaged."""
        first = self._next()
        made = [self._make(number) for number in range(first, first + MANY)]
        sound, damaged = made[: MANY // 2], made[MANY // 2 :]
        numbers = [int(version.name) for version in sound]
        for number in numbers:
            self._versions.add_copy(number, self._sound[-1])
        for version in damaged:
            self._choice.choice(self._damages)(version)
        refused = self._refusals() + WORKERS * len(damaged)
        for version in self._choice.sample(made, MANY):
            version.rename(self._models / version.name)
        self.damaged += len(damaged)
        self._sound += numbers[:-1]
        self._expect_served(numbers[-1])
        wait_until(lambda: self._refusals() >= refused, "half of the versions are refused")

    def _repair_in_place(self) -> None:
        """Write sound files over those of a version that was refused."""
        number = self._next()
        self._publish_damaged([(self._choice.choice(self._flips), False)])
        version = self._make(number)
        self._versions.add_copy(number, self._sound[-1])
        for file in (WEIGHTS_FILE, MANIFEST_FILE):
            write_slowly(self._models / str(number) / file, (version / file).read_bytes())
        shutil.rmtree(version)
        self._expect_served(number)

    def _remove_the_newest(self) -> None:
        """Return to the version before, which may not be loaded."""
        remove(self._models / str(self._sound.pop()))
        wait_until(lambda: self._served() == self._sound[-1], "the version before is served")

    def _remove_the_old(self) -> None:
        """Remove all versions but the one that is served."""
        for version in self._models.iterdir():
            if version.name != str(self._sound[-1]):
                remove(version)
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
        self.seconds.append(
            wait_until(lambda: self._served() == version, f"version {version} is served")
        )

    def _served(self) -> float:
        return self._metric('nodestack_model_version{model="mnist"}')

    def _refusals(self) -> float:
        return self._metric('nodestack_model_refusals_total{model="mnist"}')

    def _metric(self, name: str) -> float:
        lines = self._service.send("/metrics")[2].decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0)


def copy_slowly(version: Path, target: Path) -> None:
    """Write the files of a version in place, as a slow copy does."""
    target.mkdir()
    for file in sorted(version.iterdir()):
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_SLOW_BYTES:
            file.rename(target / file.name)
        else:
            write_slowly(target / file.name, file.read_bytes())


def write_slowly(path: Path, content: bytes) -> None:
    """Write a file in a few parts, with a pause after each."""
    size = len(content) // PARTS + 1
    with path.open("wb", buffering=0) as file:
        for start in range(0, max(1, len(content)), size):
            file.write(content[start : start + size])
            time.sleep(PAUSE_SECONDS)


def remove(version: Path) -> None:
    if version.is_dir() and not version.is_symlink():
        shutil.rmtree(version)
    else:
        version.unlink()
