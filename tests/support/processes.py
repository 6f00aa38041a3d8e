"""What processes use: CPU time, memory, files; and on which core they run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the child processes of a process; none if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, of all its threads."""
    # The name, which comes before, may contain spaces; the times are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    return _status(pid, "VmRSS:") * 1024 / 1e6


def peak_megabytes(pid: int) -> float:
    """Return the highest resident memory that a process has had."""
    return _status(pid, "VmHWM:") * 1024 / 1e6


def threads(pid: int) -> int:
    return _status(pid, "Threads:")


def open_files(*pids: int) -> int:
    """Return the number of open files of processes, connections included."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


@contextmanager
def pinned(*pids: int) -> Iterator[None]:
    """Pin processes to the last core and this one, with what it starts, to the others.

    On its own the scheduler may leave both on one core for seconds.
    """
    cores = os.sched_getaffinity(0)
    server = {max(cores)}
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), server)
    os.sched_setaffinity(0, cores - server or server)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
