"""The machine and the versions that a figure belongs to."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def describe(*packages: str) -> str:
    """Return a line with the processor, Python, and the versions of packages."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    cores = os.cpu_count()
    return f"{processor()}, {cores} cores; Python {platform.python_version()}, {versions}."
