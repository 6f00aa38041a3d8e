"""What the service's processes hold, and what they say."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TROUBLE = re.compile(r"Traceback \(most recent call last\)| (?:ERROR|CRITICAL) \[")
# ESTABLISHED and CLOSE_WAIT of Linux.
_NOT_CLOSED = ("01", "08")


class Holdings(NamedTuple):
    """What processes hold together.

    Attributes:
        resident_bytes: Memory.
        files: Open file descriptors.
    """

    resident_bytes: int
    files: int


def holdings(pids: Sequence[int]) -> Holdings:
    """Tell what processes hold together."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
    return Holdings(pages * os.sysconf("SC_PAGE_SIZE"), files)


def connections(port: int) -> int:
    """Count the connections to a port that the service has not closed."""
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in _NOT_CLOSED for row in table)


def troubles(log: Path) -> list[str]:
    """List the lines of a log that tell of a fault of the service's own, and what follows each."""
    lines = log.read_text(errors="replace").splitlines()
    return [
        "\n".join(lines[index : index + 40])
        for index, line in enumerate(lines)
        if _TROUBLE.search(line)
    ]
