"""Run the experiments; print a table, and write it where the README's figures are."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos import worker_kills
from benchmarks.chaos.outcome import Experiment, Outcome
from benchmarks.machine import processor

RESULTS = Path(__file__).parent.with_name("results")
EXPERIMENTS: dict[str, Experiment] = {
    "worker-kills": worker_kills.run,
}


def main() -> int:
    """Run them one after another; fail where anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("experiments", nargs="*", help=f"of {', '.join(EXPERIMENTS)}; default: all")
    parser.add_argument("--short", action="store_true", help="less of each: the form for CI")
    options = parser.parse_args()
    if unknown := set(options.experiments) - set(EXPERIMENTS):
        parser.error(f"expected of {', '.join(EXPERIMENTS)}, got {', '.join(sorted(unknown))}")
    outcomes = {}
    for name in options.experiments or EXPERIMENTS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcomes[name] = EXPERIMENTS[name](not options.short, Path(folder))
        print(f"{name}: {time.monotonic() - started:.0f} s", *outcomes[name].failures, sep="\n- ")
        sys.stdout.flush()
    table = _table(outcomes)
    print(table)
    if not options.short and not options.experiments:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "chaos.md").write_text(table + "\n")
        (RESULTS / "chaos.json").write_text(json.dumps(_document(outcomes), indent=1) + "\n")
    return int(any(outcome.failures for outcome in outcomes.values()))


def _table(outcomes: dict[str, Outcome]) -> str:
    rows = [
        f"| {name if first else ''} | {what} | {figure} |"
        for name, outcome in outcomes.items()
        for first, (what, figure) in _numbered(outcome.figures)
    ]
    return "\n".join(["| experiment | what | figure |", "| --- | --- | --- |", *rows])


def _numbered(figures: dict[str, str]) -> list[tuple[bool, tuple[str, str]]]:
    return [(number == 0, item) for number, item in enumerate(figures.items())]


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
