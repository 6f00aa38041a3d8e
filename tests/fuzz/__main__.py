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

CORPUS = Path(__file__).with_name("corpus")
FINDS = Path(".fuzz_cache")
LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1"]


def main() -> int:
    """Fuzz the targets; return 1 where one finds a fault."""
    targets = sorted(folder.name for folder in CORPUS.iterdir())
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *targets], default=[], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="per target (default: %(default)s)")
    options = parser.parse_args()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sound = list(pool.map(partial(fuzz, seconds=options.seconds), options.targets or targets))
    return int(not all(sound))


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz a target; print the result, and return whether nothing was found."""
    finds = FINDS / name
    finds.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.one_target", name, *LIMITS]
    command += [f"-max_total_time={seconds}", f"-dict={CORPUS.with_name('words.dict')}"]
    command += [f"-artifact_prefix={finds}/", str(finds), str(CORPUS / name)]
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            command,
            env={**os.environ, "TMPDIR": scratch},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    executions = re.search(r"stat::number_of_executed_units: *(\d+)", run.stdout)
    verdict = f"FAULT:\n{run.stdout[-5000:]}" if run.returncode else "nothing found"
    print(f"{name}: {executions[1] if executions else 0} executions: {verdict}", flush=True)
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
