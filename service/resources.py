"""The CPUs and the memory that this container or machine has for the service."""

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
# A worker with the shipped model takes about 70 MB; the master process and a margin come on top.
_WORKER_BYTES = 128 * 2**20
MAX_DEFAULT_WORKERS = 8


def default_workers(cgroup: Path = _CGROUP) -> int:
    """Return one worker per available CPU, at most 8 and what the memory limit allows.

    Args:
        cgroup: Folder of the control group's files, version 2 or 1.
    """
    memory = _number(cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes")
    by_memory = MAX_DEFAULT_WORKERS if memory is None else int(memory // _WORKER_BYTES)
    return max(1, min(available_cpus(cgroup), by_memory, MAX_DEFAULT_WORKERS))


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Return how many CPUs the processes may use, by their affinity and the cgroup's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _number(cgroup / "cpu.max", cgroup / "cpu/cpu.cfs_quota_us")
    period = _number(cgroup / "cpu.max", cgroup / "cpu/cpu.cfs_period_us", position=1)
    if quota is None or quota < 0 or not period:
        return cpus
    return max(1, min(cpus, math.ceil(quota / period)))


def _number(version_2: Path, version_1: Path, position: int = 0) -> float | None:
    """Return a number of the first file that can be read; None where there is no limit."""
    for file, at in ((version_2, position), (version_1, 0)):
        with suppress(OSError, ValueError, IndexError):
            return float(file.read_text().split()[at])
    return None
