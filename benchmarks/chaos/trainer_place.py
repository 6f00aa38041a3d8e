"""What the experiments on the trainer share: a short run, and the folders it writes to."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib

from nncore.repository import ModelRepository, RepositoryError
from tests.support.data import save_npz, toy_problem

_ROOT = Path(__file__).parents[2]
_NAME = "toy"
_IMAGES = 600
_SHAPE = (28, 28)
_RECIPE = ("--hidden-sizes", "32", "--epochs", "12", "--no-augment")
_DEADLINE_SECONDS = 60

# Which files may exist, as a pattern: after a run, after a failed run, after a killed run.
FINISHED = rf"models(/{_NAME}(/[1-9][0-9]*)?)?|checkpoints"
FAILED = rf"{FINISHED}|checkpoints/{_NAME}-[0-9a-f]{{12}}-1(/(last|best)\.safetensors)?"
KILLED = rf"{FAILED}|models/{_NAME}/\.publishing|checkpoints/[^/]+/\.(last|best)\.safetensors"


class Place:
    """A model repository and a folder for checkpoints, and the command that fills them.

    Args:
        path: The folder of both, and of nothing else; it is created.
        data: The file that `write_data` wrote.

    Attributes:
        models: The model repository.
        checkpoints: The folder for checkpoints.
        unfinished: The weights of a version that is being published.
    """

    def __init__(self, path: Path, data: Path) -> None:
        self.models = path / "models"
        self.checkpoints = path / "checkpoints"
        self.unfinished = self.models / _NAME / ".publishing" / "model.safetensors"
        self._path = path
        self._data = data
        path.mkdir(parents=True)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a run as a process; options come after, and override, those of every run."""
        folders = ("--model-dir", str(self.models), "--checkpoint-dir", str(self.checkpoints))
        command = [sys.executable, "-m", "trainer", "--dataset", str(self._data)]
        return subprocess.Popen(
            [*command, *_RECIPE, *folders, *options],
            cwd=_ROOT,
            env={
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
                "MPLCONFIGDIR": matplotlib.get_cachedir(),  # fonts that are already indexed
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, *options: str) -> "Run":
        """Start a run and wait for its end."""
        return Run(self.start(*options))

    def versions(self) -> tuple[list[int], list[str]]:
        """Load every version; return those that are sound, and what is wrong with the others."""
        repository = ModelRepository(self.models)
        whole, faults = [], []
        for version in repository.versions(_NAME):
            try:
                repository.load(_NAME, version)
                whole.append(version)
            except RepositoryError as error:
                faults.append(str(error))
        return whole, faults

    def remove_all_but(self, newest: int) -> None:
        """Remove all versions but the newest ones."""
        for version in ModelRepository(self.models).versions(_NAME)[:-newest]:
            shutil.rmtree(self.models / _NAME / f"{version}")

    def published_at(self, version: int) -> float:
        """Return the time when a version was written, of `time.time`."""
        return (self.models / _NAME / f"{version}" / "model.json").stat().st_mtime

    def unexpected(self, known: str) -> list[str]:
        """List the unexpected files, down to the versions and checkpoints."""
        found = [path for depth in ("*", "*/*", "*/*/*") for path in self._path.glob(depth)]
        names = [path.relative_to(self._path).as_posix() for path in found]
        return [name for name in names if not re.fullmatch(known, name)]


class Run:
    """A run that has ended.

    Args:
        process: From `Place.start`; its end is waited for.

    Attributes:
        code: Its exit code.
        out: Its output.
        error: What it wrote to stderr, without the last line end.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        try:
            self.out, error = process.communicate(timeout=_DEADLINE_SECONDS)
        finally:
            process.kill()
        self.code = process.returncode
        self.error = error.removesuffix("\n")


def write_data(folder: Path) -> Path:
    """Write a small data set."""
    toy = toy_problem(_IMAGES, shape=_SHAPE)
    return save_npz(folder / f"{_NAME}.npz", images=toy.images, labels=toy.labels)
