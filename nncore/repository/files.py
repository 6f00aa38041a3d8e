"""Durable file operations: atomic replacement, fsync and locks."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_FILE = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an advisory lock on a folder; the system releases it when the process ends.

    The lock is on a file `.lock` in the folder. It stays there: NFS clients that remove it could
    lock two different files.

    Raises:
        OSError: The lock file cannot be created or opened.
    """
    descriptor = open_lock_file(folder / LOCK_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_lock_file(path: Path) -> int:
    """Open a file for `flock`, create it if necessary, and return its descriptor.

    It is open for writing: NFS shares locks between machines only on files, and grants an exclusive
    lock only on such a descriptor. The users that can write to the folder can lock the file.

    Raises:
        OSError: The file cannot be created or opened.
    """
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(PermissionError):  # another user has just created it
        os.fchmod(descriptor, path.parent.stat().st_mode & 0o666)
    return descriptor


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and fsync it.

    Raises:
        OSError: Writing failed; the error names the file.
    """
    try:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)  # only errors of open() name it
        raise


def replace_durably(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably; only one process may write to `path` at a time.

    Raises:
        OSError: Writing failed; the old file is unchanged.
    """
    unfinished = path.with_name(f".{path.name}")
    try:
        write_durably(unfinished, content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Fsync a folder, which makes created and renamed entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
