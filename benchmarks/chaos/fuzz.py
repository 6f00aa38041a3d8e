"""Whatever reads strangers' bytes is fuzzed, guided by what it has not run yet."""

import re
import subprocess
from pathlib import Path

from benchmarks.chaos.outcome import Outcome
from tests.service.server import ROOT

_PYTHON = ROOT / ".venv-fuzz" / "bin" / "python"


def run(full: bool, _: Path) -> Outcome:
    """Fuzz each target for two seconds or, for CI, one."""
    outcome = Outcome()
    if not _PYTHON.exists():
        outcome.figures["targets fuzzed"] = "no atheris here: make fuzz installs it"
        return outcome
    done = subprocess.run(
        [_PYTHON, "-m", "tests.fuzz", "--seconds", "2" if full else "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    executions = [
        int(number.replace(",", "")) for number in re.findall(r": ([\d,]+) executions", done.stdout)
    ]
    outcome.expect(done.returncode == 0, f"a fault was found: {done.stdout}")
    outcome.expect(min(executions, default=0) > 0, f"a target was not run: {done.stdout}")
    outcome.figures |= {
        "targets fuzzed": f"{len(executions)}",
        "inputs tried": f"{sum(executions):,}",
        "faults found": f"{done.stdout.count('FAULT')}",
    }
    return outcome
