"""The trainer is killed at random moments; every run that ends publishes the same bytes."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import pytest

from nncore.repository import WEIGHTS_FILE, ModelRepository
from tests.stress.conftest import LONG, Record
from tests.support.data import save_npz, toy_problem
from tests.support.server import ROOT

pytestmark = pytest.mark.stress

NAME = "toy"
RECIPE = ("--hidden-sizes", "32", "--epochs", "12", "--no-augment")
DEADLINE_SECONDS = 60
CHAINS = 2
KILLS = "trainers killed at random moments"
PUBLISHING = "of them while they published"
PUBLISHED = "runs between kills that published the same bytes"
PUBLICATION_SHARE = 0.4
WATCH_SECONDS = 0.001
# From when a run begins to write a version to when it has ended.
PUBLICATION_SECONDS = 0.05
# Which files may exist, as a pattern: after a run, after a killed run.
RUN_FOLDER = rf"{NAME}-[0-9a-f]{{12}}-1"
CHECKPOINTS = rf"checkpoints(/\.lock|/{RUN_FOLDER}(/checkpoint\.safetensors)?)?"
FINISHED = rf"models(/\.lock|/{NAME}(/[1-9][0-9]*)?)?|{CHECKPOINTS}"
UNFINISHED = rf"checkpoints/(\.{RUN_FOLDER}\.lock|{RUN_FOLDER}/\.checkpoint\.safetensors)"
KILLED = rf"{FINISHED}|{UNFINISHED}|models/{NAME}/\.publishing"


class Trainer:
    """A model repository and a folder for checkpoints, and the command that fills them."""

    def __init__(self, path: Path, data: Path) -> None:
        self._path = path
        self._models = path / "models"
        self._checkpoints = path / "checkpoints"
        self._data = data

    def start(self, *options: str) -> subprocess.Popen[str]:
        folders = ("--model-dir", str(self._models), "--checkpoint-dir", str(self._checkpoints))
        command = [sys.executable, "-m", "trainer", "--dataset", str(self._data)]
        one_thread = {"OPENBLAS_NUM_THREADS": "1"}
        fonts = {"MPLCONFIGDIR": matplotlib.get_cachedir()}  # already indexed
        return subprocess.Popen(
            [*command, *RECIPE, *folders, *options],
            cwd=ROOT,
            env={**os.environ, **one_thread, **fonts},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def load_all(self) -> int:
        """Load every version, which checks its digest and its probes; return the newest."""
        repository = ModelRepository(self._models)
        loaded = (repository.load(NAME, n).manifest.version for n in repository.versions(NAME))
        return max(loaded, default=0)

    def check_published(self, process: subprocess.Popen[str], version: int) -> bytes:
        """Assert that a run has published a version and left nothing else; return its weights."""
        _, error = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0, error
        assert self.load_all() == version
        assert self.unexpected(FINISHED) == []
        return (self._models / NAME / f"{version}" / WEIGHTS_FILE).read_bytes()

    def unexpected(self, known: str) -> list[str]:
        """List the files, down to versions and checkpoints, that do not match a pattern."""
        found = [path for depth in ("*", "*/*", "*/*/*") for path in self._path.glob(depth)]
        names = [path.relative_to(self._path).as_posix() for path in found]
        return [name for name in names if not re.fullmatch(known, name)]

    def is_publishing(self, since: float) -> bool:
        """Return whether a run has begun, since a time, to write a version."""
        try:
            unfinished = self._models / NAME / ".publishing" / WEIGHTS_FILE
            return unfinished.stat().st_mtime > since
        except FileNotFoundError:
            return False


def test_trainer_kills(tmp_path: Path, record: Record) -> None:
    toy = toy_problem(600, shape=(28, 28))
    data = save_npz(tmp_path / f"{NAME}.npz", images=toy.images, labels=toy.labels)
    kills, runs_between = (60, 6) if LONG else (2, 2)

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
    weights, newest = trainer.check_published(trainer.start(), 1), 1
    seconds = time.time() - started
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
        if process.wait() == -signal.SIGKILL:
            process.communicate()
            counts[KILLS] += 1
            counts[PUBLISHING] += trainer.is_publishing(started)
            loaded = trainer.load_all()
            assert loaded in (newest, newest + 1), "a version was lost"
            assert trainer.unexpected(KILLED) == []
            newest = loaded  # it may have published before it was killed
            if counts[KILLS] % runs_between:
                continue
            process = trainer.start(*("--resume",) * (counts[KILLS] // runs_between % 2))
        newest += 1
        published = trainer.check_published(process, newest)
        assert published == weights, "a resumed run gave other weights"
        counts[PUBLISHED] += 1
    return counts
