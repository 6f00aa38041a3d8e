"""What a figure was measured on."""

import platform
from pathlib import Path


def processor() -> str:
    """Give the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
