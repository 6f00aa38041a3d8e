"""The trainer's disk is full or read-only; each disk is a small tmpfs."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from itertools import count
from pathlib import Path

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.trainer_place import FAILED, FINISHED, Place, Run, write_data
from tests.support.data import tree

_DISK_BYTES = 32 << 20
_MOST_FREE_BYTES = 4 << 20


def run(full: bool, folder: Path) -> Outcome:
    """Leave more and more room until a run succeeds; in larger steps for CI."""
    if not _can_mount(folder):
        return Outcome({"a disk that fills up": "not possible here: it takes a mount"})
    step = 64 << 10 if full else 192 << 10
    command = [sys.executable, "-m", __name__, str(folder), str(step)]
    inside = subprocess.run(
        [*_namespace(), *command], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    if inside.returncode:
        return Outcome(failures=[f"the experiment itself failed: {inside.stderr}"])
    return Outcome(**json.loads(inside.stdout))


def _namespace() -> list[str]:
    """Return the command whose child may mount in a namespace of its own."""
    return ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]


def _can_mount(folder: Path) -> bool:
    if not shutil.which("unshare"):
        return False
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run([*_namespace(), *mount], capture_output=True).returncode == 0


class _Disk:
    """A tmpfs; needs the right to mount."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self._ballast = path / "ballast"
        self._mount("-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs")

    def leave(self, free: int) -> None:
        """Fill it, except for some bytes."""
        self.clear()
        there = os.statvfs(self.path)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, there.f_bavail * there.f_frsize - free)

    def clear(self) -> None:
        """Remove what fills it up."""
        self._ballast.unlink(missing_ok=True)

    def forbid_writing(self) -> None:
        """Make it read-only."""
        self._mount("-o", "remount,ro")

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.path)], check=True)


def _fill_up(outcome: Outcome, folder: Path, data: Path, step: int) -> None:
    """Run with more and more room; after each failure, free the disk and run again."""
    disk = _Disk(folder / "filling")
    place = Place(disk.path / "place", data)
    _expect_published(outcome, place, place.train(), "the first run")
    failed = without_checkpoint = 0
    for free in count(0, step):
        what = f"with {free >> 10} KiB free"
        before = tree(place.models)
        disk.leave(free)
        short = place.train()
        disk.clear()
        if short.code == 0 or outcome.failures:
            break
        failed += 1
        without_checkpoint += "no checkpoint of epoch" in short.out
        _expect_refused(outcome, short, "No space left on device", what)
        outcome.expect(tree(place.models) == before, f"{what} the repository has changed")
        unexpected = place.unexpected(FAILED)
        outcome.expect(not unexpected, f"{what} {', '.join(unexpected)} stayed")
        outcome.expect(free < _MOST_FREE_BYTES, f"{what} the run still fails: {short.error}")
        again = place.train(*(("--resume",) if failed % 2 else ()))
        _expect_published(outcome, place, again, f"the run after one {what}")
    outcome.figures |= {
        "runs on a disk that filled up: failed in one line": f"{failed}",
        "of them without room for a checkpoint": f"{without_checkpoint}",
        "runs once there was room: published": f"{failed}",
    }


def _keep_no_checkpoints(outcome: Outcome, folder: Path, data: Path) -> None:
    """Fill up the disk of the checkpoints alone: the run warns, and publishes all the same."""
    disk = _Disk(folder / "checkpoints")
    disk.leave(0)
    place = Place(folder / "roomy", data)
    run = place.train("--checkpoint-dir", str(disk.path / "runs"))
    outcome.expect("WARNING: no checkpoint of epoch 1" in run.out, "no warning of no checkpoint")
    _expect_published(outcome, place, run, "without room for checkpoints alone the run")
    left = [*(disk.path / "runs").iterdir()]
    outcome.expect(not left, f"without room for checkpoints {left} stayed")


def _forbid_writing(outcome: Outcome, folder: Path, data: Path) -> None:
    """Train towards a read-only repository, as the next version and as a new model."""
    disk = _Disk(folder / "read-only")
    place = Place(disk.path / "place", data)
    _expect_published(outcome, place, place.train(), "the run before the disk was read-only")
    disk.forbid_writing()
    trials: list[tuple[str, ...]] = [(), ("--model-name", "another")]
    elsewhere = ("--checkpoint-dir", str(folder / "elsewhere"))
    for trial in trials:
        refused = place.train(*elsewhere, *trial)
        _expect_refused(outcome, refused, "Read-only file system", "with a read-only repository")
        outcome.expect("epoch" not in refused.out, "trained towards a read-only repository")
        outcome.expect("--model-dir" in refused.error, f"no way out is told: {refused.error}")
    outcome.expect(place.versions() == ([1], []), "the read-only version does not load")
    outcome.figures["read-only repositories refused before training"] = f"{len(trials)}"


def _expect_refused(outcome: Outcome, run: Run, reason: str, when: str) -> None:
    lines = run.error.splitlines()
    outcome.expect(
        run.code == 1 and len(lines) == 1 and lines[0].startswith("error: ") and reason in lines[0],
        f"{when}: expected one line with {reason!r} and code 1, got {run.code}: {run.error}",
    )


def _expect_published(outcome: Outcome, place: Place, run: Run, what: str) -> None:
    versions, faults = place.versions()
    outcome.expect(
        run.code == 0 and f"/{versions[-1]}" in run.out.splitlines()[-1],
        f"{what} ended with {run.code}: {run.error}",
    )
    outcome.expect(not faults, f"after {what}: {faults}")
    unexpected = place.unexpected(FINISHED)
    outcome.expect(not unexpected, f"after {what}: {', '.join(unexpected)} stayed")


def main() -> None:
    """Run in a namespace where mounting is allowed; print the outcome as JSON."""
    folder, step = Path(sys.argv[1]), int(sys.argv[2])
    outcome = Outcome()
    data = write_data(folder)
    _fill_up(outcome, folder, data, step)
    _keep_no_checkpoints(outcome, folder, data)
    _forbid_writing(outcome, folder, data)
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
