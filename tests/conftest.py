"""Settings and fixtures of all tests: deterministic properties, seeded randomness."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile(
    "deterministic", derandomize=True, database=None, deadline=None, max_examples=30
)
settings.load_profile("deterministic")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def nfs_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reject the locks that NFS rejects, or does not share between machines."""
    flock = fcntl.flock

    def flock_on_nfs(descriptor: int, operation: int) -> None:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if not is_file or fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_on_nfs)


@pytest.fixture
def seed_numpy() -> Iterator[Callable[[int], None]]:
    """Seed numpy's global generator, and restore its state after the test."""
    state = np.random.get_state()  # noqa: NPY002
    yield np.random.seed
    np.random.set_state(state)  # noqa: NPY002
