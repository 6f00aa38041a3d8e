"""Two trainers publish into one repository at once."""

import subprocess
from contextlib import suppress
from pathlib import Path
from statistics import median

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.trainer_place import FINISHED, Place, Run, write_data
from nncore.files import locked
from tests.service.server import wait_until


def run(full: bool, folder: Path) -> Outcome:
    """Start ten pairs of the same run or, for CI, three."""
    outcome = Outcome()
    place = Place(folder / "place", write_data(folder))
    pairs = 10 if full else 3
    apart = []
    for pair in range(1, pairs + 1):
        for ended in _train_two(place):
            outcome.expect(ended.code == 0, f"a trainer of pair {pair} failed: {ended.error}")
        versions, faults = place.versions()
        outcome.expect(not faults, f"pair {pair} published damaged versions: {faults}")
        outcome.expect(
            versions == list(range(1, 2 * pair + 1)),
            f"expected two versions of each of {pair} pairs, got {versions}",
        )
        litter = place.litter(FINISHED)
        outcome.expect(not litter, f"pair {pair} left {', '.join(litter)}")
        if outcome.failures:
            break
        one, other = map(place.published_at, versions[-2:])
        apart.append(1e3 * (other - one))
    outcome.figures |= {
        "pairs of trainers into one repository: two whole versions each": f"{len(apart)}",
        "apart from each other, median": f"{median(apart):.0f} ms" if apart else "see the failures",
    }
    return outcome


def _train_two(place: Place) -> list[Run]:
    """Keep both from publishing until both are about to."""
    trainers = [place.start(), place.start()]
    wait_until(
        lambda: len([*place.checkpoints.glob("*/last.safetensors")]) == 2 or _any_ended(trainers),
        "both to train",
    )
    with locked(place.models):
        wait_until(
            lambda: all(_waits(trainer, place) for trainer in trainers) or _any_ended(trainers),
            "both to wait for the lock of the repository",
        )
    return [Run(trainer) for trainer in trainers]


def _any_ended(trainers: list[subprocess.Popen[str]]) -> bool:
    return any(trainer.poll() is not None for trainer in trainers)


def _waits(trainer: subprocess.Popen[str], place: Place) -> bool:
    """Tell whether it has opened the repository, whose lock this process holds."""
    with suppress(FileNotFoundError):  # what was listed may be closed by now
        opened = Path(f"/proc/{trainer.pid}/fd").iterdir()
        return any(descriptor.samefile(place.models) for descriptor in opened)
    return False
