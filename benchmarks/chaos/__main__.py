"""Run the experiments; print a table, and write it where the README's figures are."""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
from benchmarks.machine import processor

RESULTS = Path(__file__).parent.with_name("results")
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
# The soak takes ten of fifteen minutes. What it is judged by are its first minute after the
# warm-up and its last one; between them, with the lowest priority, there is time for others.
_BESIDE_SOAK = ("trainer-kills", "trainer-disk", "trainer-pairs", "fuzz")
_SOAK_JUDGED_SECONDS = 150
_LOWEST_PRIORITY = 19


def main() -> int:
    """Run them; fail where anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("experiments", nargs="*", help=f"of {', '.join(EXPERIMENTS)}; default: all")
    parser.add_argument("--short", action="store_true", help="less of each: the form for CI")
    options = parser.parse_args()
    if unknown := set(options.experiments) - set(EXPERIMENTS):
        parser.error(f"expected of {', '.join(EXPERIMENTS)}, got {', '.join(sorted(unknown))}")
    full = not options.short
    names = options.experiments or list(EXPERIMENTS)
    beside = [name for name in names if full and "soak" in names and name in _BESIDE_SOAK]
    with ThreadPoolExecutor(1) as aside:
        outcomes = {}
        for name in names:
            if name in beside:
                continue
            if name == "soak":
                others = aside.submit(_run_beside, beside)
            outcomes[name] = _run(name, full=full)
        if beside:
            outcomes |= others.result()
    table = _table({name: outcomes[name] for name in names})
    print(table)
    if full and not options.experiments:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "chaos.md").write_text(table + "\n")
        (RESULTS / "chaos.json").write_text(json.dumps(_document(outcomes), indent=1) + "\n")
    return int(any(outcome.failures for outcome in outcomes.values()))


def _run(name: str, *, full: bool) -> Outcome:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = EXPERIMENTS[name](full, Path(folder))
    print(f"{name}: {time.monotonic() - started:.0f} s", *outcome.failures, sep="\n- ", flush=True)
    return outcome


def _run_beside(names: list[str]) -> dict[str, Outcome]:
    # It holds for what this thread starts, too.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
    time.sleep(_SOAK_JUDGED_SECONDS)
    return {name: _run(name, full=True) for name in names}


def _table(outcomes: dict[str, Outcome]) -> str:
    rows = [
        f"| {name if number == 0 else ''} | {what} | {figure} |"
        for name, outcome in outcomes.items()
        for number, (what, figure) in enumerate(outcome.figures.items())
    ]
    return "\n".join(["| experiment | what | figure |", "| --- | --- | --- |", *rows])


def _document(outcomes: dict[str, Outcome]) -> dict[str, object]:
    return {
        "experiments": {
            name: {"figures": outcome.figures, "failures": outcome.failures}
            for name, outcome in outcomes.items()
        },
        "machine": {"processor": processor(), "cores": os.cpu_count()},
    }


if __name__ == "__main__":
    sys.exit(main())
