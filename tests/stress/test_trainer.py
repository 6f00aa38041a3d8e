"""The trainer is killed at random moments, and its disk is full or read-only."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pytest

from nncore.repository import WEIGHTS_FILE, ModelRepository
from tests.stress.conftest import Record
from tests.support.data import save_npz, toy_problem, tree
from tests.support.server import ROOT

pytestmark = pytest.mark.stress

NAME = "toy"
RECIPE = ("--hidden-sizes", "32", "--epochs", "12", "--no-augment")
DEADLINE_SECONDS = 60
CHAINS = 2
KILLS = "trainers killed at random moments"
WITH_CHECKPOINT = "of them with a checkpoint"
PUBLISHING = "of them while they published"
LOADED = "versions loaded after kills, all whole"
PUBLISHED = "runs between kills that published the same bytes"
PUBLICATION_SHARE = 0.4
WATCH_SECONDS = 0.001
# From when a run begins to write a version to when it has ended.
PUBLICATION_SECONDS = 0.05
# Each version is loaded after each kill.
KEPT = 5
DISK_BYTES = 32 << 20
# Which files may exist, as a pattern: after a run, after a failed run, after a killed run.
FINISHED = rf"models(/{NAME}(/[1-9][0-9]*)?)?|checkpoints"
FAILED = rf"{FINISHED}|checkpoints/{NAME}-[0-9a-f]{{12}}-1(/(last|best)\.safetensors)?"
KILLED = rf"{FAILED}|models/{NAME}/\.publishing|checkpoints/[^/]+/\.(last|best)\.safetensors"


class Run(NamedTuple):
    """The exit code and the output of a run."""

    code: int
    out: str
    error: str


class Trainer:
    """A model repository and a folder for checkpoints, and the command that fills them."""

    def __init__(self, path: Path, data: Path) -> None:
        self.path = path
        self.models = path / "models"
        self.checkpoints = path / "checkpoints"
        self.unfinished = self.models / NAME / ".publishing" / WEIGHTS_FILE
        self._data = data
        path.mkdir(parents=True)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a run; options override those of every run."""
        folders = ("--model-dir", str(self.models), "--checkpoint-dir", str(self.checkpoints))
        command = [sys.executable, "-m", "trainer", "--dataset", str(self._data)]
        one_thread = {"OPENBLAS_NUM_THREADS": "1"}
        fonts = {"MPLCONFIGDIR": matplotlib.get_cachedir()}  # already indexed
        return subprocess.Popen(
            [*command, *RECIPE, *folders, *options],
            cwd=ROOT,
            env={**os.environ, **one_thread, **fonts},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Run:
        try:
            out, error = process.communicate(timeout=DEADLINE_SECONDS)
        finally:
            process.kill()
        return Run(process.returncode, out, error.strip())

    def train(self, *options: str) -> Run:
        return self.finish(self.start(*options))

    def load_all(self) -> list[int]:
        """Load every version, which checks its digest and its probes; return their numbers."""
        repository = ModelRepository(self.models)
        return [repository.load(NAME, n).manifest.version for n in repository.versions(NAME)]

    def weights(self, version: int) -> bytes:
        return (self.models / NAME / f"{version}" / WEIGHTS_FILE).read_bytes()

    def remove_old(self) -> None:
        for version in ModelRepository(self.models).versions(NAME)[:-KEPT]:
            shutil.rmtree(self.models / NAME / f"{version}")

    def unexpected(self, known: str) -> list[str]:
        """List the files, down to versions and checkpoints, that do not match a pattern."""
        found = [path for depth in ("*", "*/*", "*/*/*") for path in self.path.glob(depth)]
        names = [path.relative_to(self.path).as_posix() for path in found]
        return [name for name in names if not re.fullmatch(known, name)]

    def is_publishing(self, since: float) -> bool:
        """Return whether a run has begun, since a time, to write a version."""
        try:
            return self.unfinished.stat().st_mtime > since
        except FileNotFoundError:
            return False


@pytest.fixture
def data(tmp_path: Path) -> Path:
    toy = toy_problem(600, shape=(28, 28))
    return save_npz(tmp_path / f"{NAME}.npz", images=toy.images, labels=toy.labels)


def test_trainer_kills(tmp_path: Path, data: Path, record: Record, long: bool) -> None:
    kills, runs_between = (60, 6) if long else (4, 2)

    def run_chain(seed: int) -> Counter[str]:
        return kill_repeatedly(Trainer(tmp_path / f"{seed}", data), seed, kills, runs_between)

    with ThreadPoolExecutor(CHAINS) as threads:
        total = sum(threads.map(run_chain, range(CHAINS)), Counter[str]())
    for what, count in total.items():
        record(what, count)


def kill_repeatedly(trainer: Trainer, seed: int, kills: int, runs_between: int) -> Counter[str]:
    """Kill runs; let one end after every few kills, every other time with `--resume`.

    Every version that is published has the weights of the first one, which nothing interrupted.
    """
    counts, choice = Counter[str](), random.Random(seed)
    started = time.time()
    check_published(trainer, trainer.train(), 1)
    seconds = time.time() - started
    weights, newest = trainer.weights(1), 1
    while counts[KILLS] < kills:
        started = time.time()
        process = trainer.start(*choice.choice([(), ("--resume",)]))
        if choice.random() < PUBLICATION_SHARE:
            while process.poll() is None and not trainer.is_publishing(started):
                time.sleep(WATCH_SECONDS)
            time.sleep(choice.uniform(0, PUBLICATION_SECONDS))
        else:
            time.sleep(choice.uniform(0, seconds))
        process.kill()
        run = trainer.finish(process)
        if run.code == -signal.SIGKILL:
            counts[KILLS] += 1
            counts[WITH_CHECKPOINT] += any(trainer.checkpoints.glob("*/last.safetensors"))
            counts[PUBLISHING] += trainer.is_publishing(started)
            loaded = trainer.load_all()
            assert loaded[-1] in (newest, newest + 1), "a version was lost"
            assert trainer.unexpected(KILLED) == []
            newest = loaded[-1]  # it may have published before it was killed
            counts[LOADED] += len(loaded)
            if counts[KILLS] % runs_between:
                continue
            resume = ("--resume",) if counts[KILLS] // runs_between % 2 else ()
            run = trainer.train(*resume)
        newest += 1
        check_published(trainer, run, newest)
        assert trainer.weights(newest) == weights, "a resumed run gave other weights"
        counts[PUBLISHED] += 1
        trainer.remove_old()
    return counts


def check_published(trainer: Trainer, run: Run, version: int) -> None:
    assert run.code == 0, run.error
    assert f"/{version}" in run.out.splitlines()[-1]
    assert trainer.load_all()[-1] == version
    assert trainer.unexpected(FINISHED) == []


class Disk:
    """A small tmpfs in a mount namespace of a shell of its own."""

    def __init__(self, folder: Path) -> None:
        user = ["--map-root-user"] if os.geteuid() else []
        self.shell = subprocess.Popen(
            ["unshare", "--mount", *user, "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.error = self.run(f"mount -t tmpfs -o size={DISK_BYTES} tmpfs {folder}")
        self._folder = folder
        # What the shell sees at this place.
        self.path = Path(f"/proc/{self.shell.pid}/root{folder}")
        self._ballast = self.path / "ballast"

    def run(self, command: str) -> str:
        """Run a command in the namespace; return its output, which is empty for success."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f"{command} 2>&1 || echo failed; echo; echo end\n")
        self.shell.stdin.flush()
        return "".join(iter(self.shell.stdout.readline, "end\n")).strip()

    def leave(self, free: int) -> None:
        """Fill it, except for some bytes."""
        self.clear()
        disk = os.statvfs(self.path)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - free)

    def clear(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def forbid_writing(self) -> None:
        assert self.run(f"mount -o remount,ro {self._folder}") == ""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    try:
        if disk.error:
            pytest.skip(f"a tmpfs cannot be mounted: {disk.error}")
        yield disk
    finally:
        disk.shell.communicate("exit\n")


def test_full_disk(disk: Disk, data: Path, record: Record, long: bool) -> None:
    """Leave more and more room until a run succeeds; after each failure free the disk and retry."""
    trainer = Trainer(disk.path / "place", data)
    check_published(trainer, trainer.train(), 1)
    step = 64 << 10 if long else 1 << 20
    failed = 0
    while True:
        before = tree(trainer.models)
        disk.leave(failed * step)
        run = trainer.train()
        disk.clear()
        if run.code == 0:
            break
        failed += 1
        check_refused(run, "No space left on device")
        assert tree(trainer.models) == before
        assert trainer.unexpected(FAILED) == []
        resume = ("--resume",) if failed % 2 else ()
        check_published(trainer, trainer.train(*resume), failed + 1)
        assert failed * step < 4 << 20, "the run still fails"
    assert failed
    record("runs on a full disk that failed in one line; then published", failed)


def test_read_only_repository(disk: Disk, data: Path, tmp_path: Path) -> None:
    """A run that could not publish ends before it trains."""
    trainer = Trainer(disk.path / "place", data)
    check_published(trainer, trainer.train(), 1)
    disk.forbid_writing()
    elsewhere = ("--checkpoint-dir", str(tmp_path / "elsewhere"))
    for options in ((), ("--model-name", "another")):
        run = trainer.train(*elsewhere, *options)
        check_refused(run, "Read-only file system")
        assert "epoch" not in run.out
        assert "--model-dir" in run.error
    assert trainer.load_all() == [1]


def check_refused(run: Run, reason: str) -> None:
    assert (run.code, run.error.count("\n")) == (1, 0), run.error
    assert run.error.startswith("error: ")
    assert reason in run.error
