"""What this container, or else this machine, has for the service: CPUs and memory."""

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
# A worker with the shipped model takes less than 90 MB; the master and a margin come on top.
_WORKER_BYTES = 128 * 2**20
# A worker more costs memory and, past the cores, gains nothing; a large host need not start fifty.
MOST_WORKERS_BY_DEFAULT = 8


def default_workers(cgroup: Path = _CGROUP) -> int:
    """Give a worker for each CPU, as many as the memory is enough for, and at least one.

    Args:
        cgroup: Where the control group's files lie, of version 2 or else 1.
    """
    memory = _number(cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes")
    by_memory = MOST_WORKERS_BY_DEFAULT if memory is None else int(memory // _WORKER_BYTES)
    return max(1, min(available_cpus(cgroup), by_memory, MOST_WORKERS_BY_DEFAULT))


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Give how many CPUs the processes may keep busy: by their affinity, and by the quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _number(cgroup / "cpu.max", cgroup / "cpu/cpu.cfs_quota_us")
    period = _number(cgroup / "cpu.max", cgroup / "cpu/cpu.cfs_period_us", position=1)
    if quota is None or quota < 0 or not period:
        return cpus
    return max(1, min(cpus, math.ceil(quota / period)))


def _number(version_2: Path, version_1: Path, position: int = 0) -> float | None:
    """Read one of a file's numbers, or else the other file's; None where there is no limit."""
    for file, at in ((version_2, position), (version_1, 0)):
        with suppress(OSError, ValueError, IndexError):
            return float(file.read_text().split()[at])
    return None
