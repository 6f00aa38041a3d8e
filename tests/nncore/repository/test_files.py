"""Files that cannot be written: what was there stays, nothing is added, and the error names it."""

import errno
import os
from pathlib import Path

import pytest

from nncore.repository.files import replace_durably, write_durably
from tests.support.data import tree


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every sync fail."""

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.usefixtures("full_disk")
def test_what_cannot_be_replaced_stays_and_what_was_written_goes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        replace_durably(tmp_path / "file", b"new")
    assert tree(tmp_path) == {"file": b"old"}


@pytest.mark.usefixtures("full_disk")
def test_the_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'"):
        write_durably(tmp_path / "file", b"content")
