"""Fuzz the targets, as many at once as there are cores, each from its corpus for a bounded time."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.fuzz.published import CORPUS

_WORDS = CORPUS.with_name("words.dict")
_FINDS = Path(".fuzz_cache")
_SECONDS = 60
_SLOWEST_SECONDS = 10
_MOST_MEMORY_MB = 2048
_LONGEST_INPUT = 4096
_SHOWN_CHARACTERS = 5000


def main() -> int:
    """Run them; fail where one finds a fault, and tell the file that shows it."""
    targets = sorted(folder.name for folder in CORPUS.iterdir())
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(targets)}; default: all")
    parser.add_argument(
        "--seconds", type=int, default=_SECONDS, help="for each target (default: %(default)s)"
    )
    options = parser.parse_args()
    if unknown := set(options.targets) - set(targets):
        parser.error(f"expected of {', '.join(targets)}, got {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sound = list(pool.map(partial(_fuzz, seconds=options.seconds), options.targets or targets))
    return int(not all(sound))


def _fuzz(name: str, seconds: int) -> bool:
    """Fuzz a target; tell how that went, and whether nothing was found."""
    finds = _FINDS / name
    finds.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.one_target", name),
                *(f"-max_total_time={seconds}", f"-timeout={_SLOWEST_SECONDS}"),
                *(f"-rss_limit_mb={_MOST_MEMORY_MB}", f"-max_len={_LONGEST_INPUT}"),
                *(f"-artifact_prefix={finds}/", f"-dict={_WORDS}", "-print_final_stats=1"),
                *(str(finds), str(CORPUS / name)),
            ],
            env={**os.environ, "TMPDIR": scratch},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    executions = _statistic("number_of_executed_units", run.stdout)
    rate = _statistic("average_exec_per_sec", run.stdout)
    verdict = "nothing found"
    if run.returncode:
        print(run.stdout[-_SHOWN_CHARACTERS:])
        written = re.search(r"Test unit written to (\S+)", run.stdout)
        verdict = f"FAULT, shown by {written[1] if written else 'its start'}"
    print(f"{name}: {executions:,} executions, {rate:,} per second: {verdict}", flush=True)
    return run.returncode == 0


def _statistic(name: str, output: str) -> int:
    match = re.search(rf"stat::{name}: *(\d+)", output)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    sys.exit(main())
