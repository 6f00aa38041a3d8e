"""Who runs, and what they hold: the processes of a service that was started here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """List the processes that a process has started; none of one that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def open_files(pid: int) -> int:
    """Give how many file descriptors a process has, its connections among them."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> int:
    """Give how many threads a process has."""
    return _status(pid, "Threads:")


def resident_kilobytes(pid: int) -> int:
    """Give how much memory a process has."""
    return _status(pid, "VmRSS:")


def computing_seconds(pid: int) -> float:
    """Give for how long a process has computed, in all its threads."""
    # The name, which comes before, may have spaces; user and system time are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def apart_from(pid: int) -> Iterator[None]:
    """Leave a process a core of its own, where there are two; what this thread starts does, too.

    The system may have both on one core for seconds, while another is idle.
    """
    cores = os.sched_getaffinity(0)
    its = {max(cores)}
    os.sched_setaffinity(pid, its)
    os.sched_setaffinity(0, cores - its or its)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
