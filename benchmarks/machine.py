"""The machine and the versions that a figure belongs to."""

import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import distributions, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The environment with the packages that we compare with.
PEERS = ROOT / ".venv-bench"


def describe(packages: Sequence[str] = (), peers: Sequence[str] = ()) -> str:
    """Return a line with the date, the processor, and the versions of packages.

    Args:
        packages: Packages of this environment.
        peers: Packages of `.venv-bench`; those that are not installed are left out.
    """
    folders = [str(folder) for folder in PEERS.glob("lib/python*/site-packages")]
    versions = {package: version(package) for package in ("numpy", *packages)} | {
        name: found.version for name in peers for found in distributions(name=name, path=folders)
    }
    software = ", ".join(f"{name} {number}" for name, number in versions.items())
    today = datetime.datetime.now(datetime.UTC).date()
    machine = f"{_processor()}, {os.cpu_count()} cores"
    return f"Measured on {today}: {machine}; Python {platform.python_version()}, {software}."


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
