"""All experiments, by name, and how one is run."""

import tempfile
import time
from pathlib import Path

from benchmarks.chaos import (
    container,
    fuzz,
    hostile,
    ramp,
    reloads,
    restarts,
    rude_clients,
    soak,
    trainer_disk,
    trainer_kills,
    trainer_pairs,
    worker_kills,
)
from benchmarks.chaos.outcome import Experiment, Outcome

EXPERIMENTS: dict[str, Experiment] = {
    "trainer-kills": trainer_kills.run,
    "trainer-disk": trainer_disk.run,
    "trainer-pairs": trainer_pairs.run,
    "worker-kills": worker_kills.run,
    "reloads": reloads.run,
    "restarts": restarts.run,
    "container": container.run,
    "hostile": hostile.run,
    "fuzz": fuzz.run,
    "rude-clients": rude_clients.run,
    "ramp": ramp.run,
    "soak": soak.run,
}
# The soak takes ten of fifteen minutes. What it is judged by are a minute after the warm-up and the
# last one; between them, with the lowest priority and in a process of their own, others have time.
BESIDE_SOAK = ("trainer-kills", "trainer-disk", "trainer-pairs", "fuzz")
_SOAK_JUDGED_SECONDS = 92


def run(name: str, *, full: bool) -> Outcome:
    """Run an experiment, in full or in the form for CI; tell how long it took, and what failed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = EXPERIMENTS[name](full, Path(folder))
    print(f"{name}: {time.monotonic() - started:.0f} s", *outcome.failures, sep="\n- ", flush=True)
    return outcome


def run_beside(names: list[str]) -> dict[str, Outcome]:
    """Run experiments in full while the soak has its long middle."""
    time.sleep(_SOAK_JUDGED_SECONDS)
    return {name: run(name, full=True) for name in names}
