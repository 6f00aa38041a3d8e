"""A failed replacement leaves the old file, no other file, and an error with the file name."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from nncore.repository.files import LOCK_FILE, locked, open_lock_file, replace_durably
from tests.support.data import tree


def test_a_failed_replacement_leaves_the_old_file_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError, match=r"No space left on device: '.*file'"):
        replace_durably(tmp_path / "file", b"new")
    assert tree(tmp_path) == {"file": b"old"}


def test_a_reader_of_the_old_file_is_not_affected_by_its_replacement(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with (tmp_path / "file").open("rb") as reader:
        replace_durably(tmp_path / "file", b"new")
        assert reader.read() == b"old"
    assert tree(tmp_path) == {"file": b"new"}


@pytest.mark.usefixtures("nfs_locks")
def test_a_locked_folder_cannot_be_locked_again_also_on_nfs(tmp_path: Path) -> None:
    descriptor = open_lock_file(tmp_path / LOCK_FILE)
    with locked(tmp_path), pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_users_who_can_write_to_a_folder_can_lock_it(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with locked(tmp_path):
        assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == mode & 0o666
