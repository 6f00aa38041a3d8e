"""Versions are published, damaged and removed under load."""

import random
import time
from itertools import cycle
from pathlib import Path

import pytest

from nncore.repository import WEIGHTS_FILE
from tests.stress.conftest import LONG, Record
from tests.stress.damages import Damage, copy_version, damages, flip, remove
from tests.stress.versions import RIGHT_CLOSED, Versions, check_replies
from tests.support.load import Load
from tests.support.server import Service, serve, wait_until

pytestmark = pytest.mark.stress

WORKERS = 2
CONNECTIONS = 8
MAX_SECONDS = 2.0
BATCH = 6
PARTS, PAUSE_SECONDS, MAX_SLOW_BYTES = 3, 0.04, 2**24


def test_reloads(tmp_path: Path, versions: Versions, record: Record) -> None:
    """Publish every damage, renamed into place or written slowly (in short form one of the two).

    After each few of them a sound version is published, and then damaged or removed in use.
    """
    pairs = [(damage, slow) for damage in damages() for slow in (False, True)]
    if not LONG:
        pairs = [pairs[at + at // 2 % 2] for at in range(0, len(pairs), 2)]
    random.Random(0).shuffle(pairs)
    # A refusal is logged as an error, and there are hundreds.
    settings = {"RELOAD_SECONDS": "0.2", "LOG_LEVEL": "critical"}
    with (
        serve(tmp_path, versions.models, WORKERS, **settings) as service,
        Load(service.port, [versions.request], CONNECTIONS) as load,
    ):
        repository = Repository(service, versions)
        workers = service.workers
        changes = cycle((repository.damage_the_served_version, repository.remove_the_newest))
        for start in range(0, len(pairs), BATCH):
            repository.publish_damaged(pairs[start : start + BATCH])
            repository.publish()
            next(changes)()
            assert service.workers == workers, "a worker was lost"
    record(RIGHT_CLOSED, check_replies(load.replies))
    record("damaged versions, all refused", len(pairs))
    record("sound versions, all served", len(repository.seconds))
    record("until all workers serve a sound version, longest", f"{max(repository.seconds):.2f} s")
    assert not LONG or max(repository.seconds) <= MAX_SECONDS


class Repository:
    """Changes the repository of a running service, and waits until the service has followed.

    `seconds` are those until all workers served a sound version.
    """

    def __init__(self, service: Service, versions: Versions) -> None:
        self.seconds: list[float] = []
        self._service = service
        self._versions = versions
        self._models = versions.models / "mnist"
        self._sound = versions.numbers()

    def publish_damaged(self, batch: list[tuple[Damage, bool]]) -> None:
        """Publish damaged versions; every worker must refuse each."""
        refused = self._refusals() + WORKERS * len(batch)
        for damage, slow in batch:
            target = self._models / str(self._versions.numbers()[-1] + 1)
            version = self._versions.models.with_name("unpublished") / target.name
            copy_version(self._models / str(self._sound[-1]), version)
            damage(version)
            if slow and version.is_dir() and not version.is_symlink():
                copy_slowly(version, target)
            else:
                version.rename(target)
        wait_until(lambda: self._refusals() >= refused, "damaged versions are refused")

    def publish(self) -> None:
        """Publish a sound version; every worker must serve it."""
        self._sound.append(self._versions.publish())
        self.seconds.append(wait_until(self._serves_newest, "the new version is served"))

    def damage_the_served_version(self) -> None:
        """Flip a bit of a version that is loaded: it was sound, and stays in use."""
        refused = self._refusals() + WORKERS
        flip(self._models / str(self._sound[-1]), WEIGHTS_FILE, 0.99)
        wait_until(lambda: self._refusals() >= refused, "the served version is refused")
        assert self._serves_newest()
        self._sound.pop()
        self.publish()

    def remove_the_newest(self) -> None:
        """Return to the version before, which may not be loaded."""
        remove(self._models / str(self._sound.pop()))
        wait_until(self._serves_newest, "the version before is served")

    def _serves_newest(self) -> bool:
        return self._metric("model_version") == self._sound[-1]

    def _refusals(self) -> float:
        return self._metric("model_refusals_total")

    def _metric(self, name: str) -> float:
        lines = self._service.send("/metrics")[2].decode().splitlines()
        start = f'nodestack_{name}{{model="mnist"}} '
        return next((float(line.split()[-1]) for line in lines if line.startswith(start)), 0)


def copy_slowly(version: Path, target: Path) -> None:
    """Write the files of a version in place and in parts, as a slow copy does."""
    target.mkdir()
    for source in sorted(version.iterdir()):
        if source.is_symlink() or not source.is_file() or source.stat().st_size > MAX_SLOW_BYTES:
            source.rename(target / source.name)
            continue
        content = source.read_bytes()
        size = len(content) // PARTS + 1
        with (target / source.name).open("wb", buffering=0) as file:
            for start in range(0, max(1, len(content)), size):
                file.write(content[start : start + size])
                time.sleep(PAUSE_SECONDS)
