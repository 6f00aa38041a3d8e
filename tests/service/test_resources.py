import os
from pathlib import Path

import pytest

from service.limits import available_cpus, default_workers

GIB = 2**30


@pytest.fixture(autouse=True)
def sixteen_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("6400000 100000", 16),
        ("nonsense", 16),
        ("", 16),
        ("100000 0", 16),
    ],
)
def test_the_quota_bounds_the_cpus(tmp_path: Path, quota: str, cpus: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert available_cpus(tmp_path) == cpus


@pytest.mark.parametrize(
    ("memory", "workers"),
    [("max", 8), (str(GIB // 2), 4), (str(300 * 2**20), 2), (str(100 * 2**20), 1)],
)
def test_the_memory_bounds_the_workers(tmp_path: Path, memory: str, workers: int) -> None:
    (tmp_path / "memory.max").write_text(memory)
    assert default_workers(tmp_path) == workers


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 16), ("150000", 2), ("50000", 1)])
def test_the_quota_of_version_1_bounds_the_cpus(tmp_path: Path, quota: str, cpus: int) -> None:
    folder = tmp_path / "cpu"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert available_cpus(tmp_path) == cpus


@pytest.mark.parametrize(("memory", "workers"), [(2**63 - 4096, 8), (300 * 2**20, 2)])
def test_the_memory_of_version_1_bounds_the_workers(
    tmp_path: Path, memory: int, workers: int
) -> None:
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text(str(memory))
    assert default_workers(tmp_path) == workers


def test_where_there_is_no_limit(tmp_path: Path) -> None:
    assert available_cpus(tmp_path) == 16
    assert default_workers(tmp_path) == 8
