"""Run the experiments; print a table, and write it where the README's figures are."""

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.chaos.experiments import BESIDE_SOAK, EXPERIMENTS, run, run_beside
from benchmarks.chaos.outcome import Outcome
from benchmarks.machine import processor

RESULTS = Path(__file__).parent.with_name("results")
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
    beside = [name for name in names if full and "soak" in names and name in BESIDE_SOAK]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, os.nice, (_LOWEST_PRIORITY,)) as aside:
        outcomes = {}
        for name in names:
            if name in beside:
                continue
            if name == "soak" and beside:
                others = aside.submit(run_beside, beside)
            outcomes[name] = run(name, full=full)
        if beside:
            outcomes |= others.result()
    table = _table({name: outcomes[name] for name in names})
    print(table)
    if full and not options.experiments:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "chaos.md").write_text(table + "\n")
        (RESULTS / "chaos.json").write_text(json.dumps(_document(outcomes), indent=1) + "\n")
    return int(any(outcome.failures for outcome in outcomes.values()))


def _table(outcomes: dict[str, Outcome]) -> str:
    rows = [
        f"| {name if number == 0 else ''} | {what} | {figure} |"
        for name, outcome in outcomes.items()
        for number, (what, figure) in enumerate(outcome.figures.items())
    ]
    failures = [
        f"- {name} does not hold: {failure}"
        for name, outcome in outcomes.items()
        for failure in outcome.failures
    ]
    verdict = failures or ["- all of it holds"]
    return "\n".join(["| experiment | what | figure |", "| --- | --- | --- |", *rows, "", *verdict])


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
