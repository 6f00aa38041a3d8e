"""`python -m benchmarks.chaos`: fault injection, one experiment per kind of fault."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos import (
    container,
    hostile,
    large_bodies,
    reloads,
    restarts,
    rude_clients,
    soak,
    trainer_disk,
    trainer_kills,
    worker_kills,
)
from benchmarks.chaos.outcome import Experiment, Outcome
from benchmarks.machine import describe

RESULTS = Path(__file__).parents[1] / "results" / "chaos.md"
EXPERIMENTS: dict[str, Experiment] = {
    "trainer-kills": trainer_kills.run,
    "trainer-disk": trainer_disk.run,
    "worker-kills": worker_kills.run,
    "reloads": reloads.run,
    "restarts": restarts.run,
    "container": container.run,
    "hostile": hostile.run,
    "large-bodies": large_bodies.run,
    "rude-clients": rude_clients.run,
    "soak": soak.run,
}


def main() -> int:
    """Run experiments and print a table; return 1 where anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("experiments", nargs="*", help=f"of {', '.join(EXPERIMENTS)}; default: all")
    parser.add_argument("--short", action="store_true", help="the short form, for CI")
    options = parser.parse_args()
    if unknown := set(options.experiments) - set(EXPERIMENTS):
        parser.error(f"expected of {', '.join(EXPERIMENTS)}, got {', '.join(sorted(unknown))}")
    outcomes = {}
    for name in options.experiments or EXPERIMENTS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcomes[name] = EXPERIMENTS[name](not options.short, Path(folder))
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    table = _table(outcomes)
    print(table)
    if not sys.argv[1:]:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(f"{table}\n\n{describe('gunicorn', 'flask')}\n")
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
    head = ["| experiment | what | figure |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows, "", *(failures or ["- everything holds"])])


if __name__ == "__main__":
    sys.exit(main())
