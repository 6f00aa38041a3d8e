"""The trainer is killed at random moments, from its start to the end of its publication."""

import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.trainer_place import FINISHED, KILLED, Place, Run, write_data

_CHAINS = 2
_PUBLICATION_SHARE = 0.4
# How long moments of a publication are drawn from, in its own durations: the rest is what follows.
_PUBLICATION_AND_AFTER = 2
_WATCH_SECONDS = 0.001
# Each version is loaded after each kill.
_KEPT = 5


def run(full: bool, folder: Path) -> Outcome:
    """Kill 200 runs with SIGKILL or, for CI, 12; now and then let one end."""
    outcome = Outcome()
    data = write_data(folder)
    chains = [_Chain(Place(folder / f"{seed}", data), seed, outcome) for seed in range(_CHAINS)]
    kills, every = (200, 10) if full else (12, 3)
    with ThreadPoolExecutor(_CHAINS) as threads:
        for done in [threads.submit(chain.go, kills // _CHAINS, every) for chain in chains]:
            done.result()

    def total(name: str) -> str:
        return f"{sum(getattr(chain, name) for chain in chains):,}"

    outcome.figures |= {
        "trainers killed at random moments": total("kills"),
        "of them with a checkpoint": total("with_checkpoint"),
        "of them while publishing": total("while_publishing"),
        "versions loaded after the kills, damaged": f"{total('loaded')}, {total('damaged')}",
        "runs between the kills that published and left no other files": total("published"),
    }
    return outcome


class _Chain:
    """Runs in one place, one after another, most of which are killed.

    Args:
        place: The folders.
        seed: Of the moments.
        outcome: Where failures go; the first ends the chain.

    Attributes:
        kills: How many runs were killed so far.
        with_checkpoint: How many of them after their first checkpoint, or that of a run before.
        while_publishing: How many while they wrote a version.
        published: How many runs ended by themselves, as they should.
        loaded: How often a version was loaded and found sound.
        damaged: How often it was not.
    """

    def __init__(self, place: Place, seed: int, outcome: Outcome) -> None:
        self.kills = self.with_checkpoint = self.while_publishing = self.published = 0
        self.loaded = self.damaged = 0
        self._versions: list[int] = []
        self._place = place
        self._choice = random.Random(seed)
        self._outcome = outcome
        self._run_seconds = self._publication_seconds = 0.0

    def go(self, kills: int, every: int) -> None:
        """Kill a number of runs; after every few let one end, every other time with `--resume`."""
        self._measure()
        while self.kills < kills and not self._outcome.failures:
            self._kill()
            if self.kills % every == 0:
                resume = ("--resume",) if self.kills // every % 2 else ()
                started = time.time()
                self._check_end(self._place.train(*resume))
                self._run_seconds = time.time() - started

    def _measure(self) -> None:
        started = time.time()
        process = self._place.start()
        self._await_publication(process, started)
        publication = time.time()
        while self._is_publishing(started):
            time.sleep(_WATCH_SECONDS)
        self._publication_seconds = time.time() - publication
        self._check_end(Run(process))
        self._run_seconds = time.time() - started

    def _kill(self) -> None:
        started = time.time()
        process = self._place.start(*self._choice.choice([(), ("--resume",)]))
        if self._choice.random() < _PUBLICATION_SHARE:
            self._await_publication(process, started)
            end = _PUBLICATION_AND_AFTER * self._publication_seconds
            time.sleep(self._choice.uniform(0, end))
        else:
            time.sleep(self._choice.uniform(0, self._run_seconds))
        process.kill()
        run = Run(process)
        if run.code != -signal.SIGKILL:
            self._check_end(run)
            return
        self.kills += 1
        self.with_checkpoint += any(self._place.checkpoints.glob("*/last.safetensors"))
        self.while_publishing += self._is_publishing(started)
        self._check_versions()
        self._expect_none(self._place.unexpected(KILLED), "unexpected files after a kill")

    def _await_publication(self, process: subprocess.Popen[str], started: float) -> None:
        while process.poll() is None and not self._is_publishing(started):
            time.sleep(_WATCH_SECONDS)

    def _is_publishing(self, started: float) -> bool:
        """Return whether this run has begun to write a version."""
        try:
            return self._place.unfinished.stat().st_mtime > started
        except FileNotFoundError:
            return False

    def _check_end(self, run: Run) -> None:
        """Expect one version more than before, and no unexpected files."""
        before = len(self._versions)
        self._check_versions()
        more = len(self._versions) - before
        self._expect(
            (run.code, more) == (0, 1),
            f"a run ended with {run.code} and {more} versions: {run.error}",
        )
        self._expect_none(self._place.unexpected(FINISHED), "unexpected files after a run")
        self.published += 1
        self._place.remove_all_but(_KEPT)
        self._versions = self._versions[-_KEPT:]

    def _check_versions(self) -> None:
        """Expect all versions to be sound, and none to be lost."""
        before = self._versions
        self._versions, faults = self._place.versions()
        self.loaded += len(self._versions)
        self.damaged += len(faults)
        self._expect_none(faults, "damaged versions")
        self._expect_none(sorted(set(before) - set(self._versions)), "lost versions")

    def _expect_none(self, found: list[str] | list[int], what: str) -> None:
        self._expect(not found, f"{what}: {', '.join(map(str, found))}")

    def _expect(self, holds: bool, failure: str) -> None:
        self._outcome.expect(holds, f"after {self.kills} kills: {failure}")
