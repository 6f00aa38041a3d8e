"""The CPUs and the memory that the service may use, and the memory that a worker uses."""

import ctypes
import gc
import math
import os
import resource
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_STATM = Path("/proc/self/statm")
# A worker with the shipped model takes about 70 MB; the master process and a margin come on top.
_WORKER_BYTES = 128 * 2**20
MAX_DEFAULT_WORKERS = 8
# Without a limit, 64 connections with endless pipelined requests take a worker to 640 MB.
_MAX_GROWTH_BYTES = 80 * 2**20


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


class MemoryGrowth:
    """Whether the memory of this process has grown too much since its start.

    gunicorn reads ahead on each connection, and bounds neither that nor its sum over connections.
    Closing a connection frees what was read, but as a reference cycle, which Python's garbage
    collector may find much later.

    Args:
        max_bytes: The largest growth.

    Attributes:
        is_too_large: Whether connections must be closed to free memory.
    """

    def __init__(self, max_bytes: int = _MAX_GROWTH_BYTES) -> None:
        self._max_bytes = _resident_bytes() + max_bytes
        self.is_too_large = False

    def check(self) -> None:
        """Update `is_too_large`; if it has grown too much, free memory that is no longer used."""
        self.is_too_large = _resident_bytes() > self._max_bytes
        if self.is_too_large:
            gc.collect()
            with suppress(AttributeError, OSError):  # only GNU's C library has this function
                ctypes.CDLL(None).malloc_trim(0)


def _resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not report it."""
    with suppress(OSError):
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    return 0


def _number(version_2: Path, version_1: Path, position: int = 0) -> float | None:
    """Return a number of the first file that can be read; None where there is no limit."""
    for file, at in ((version_2, position), (version_1, 0)):
        with suppress(OSError, ValueError, IndexError):
            return float(file.read_text().split()[at])
    return None
