import os
from pathlib import Path

import pytest

from service.resources import available_cpus, default_workers


@pytest.mark.parametrize(
    ("files", "cpus", "workers"),
    [
        ({"cpu.max": "max 100000", "memory.max": "max"}, 16, 8),
        ({"cpu.max": "150000 100000"}, 2, 2),
        ({"memory.max": str(300 * 2**20)}, 16, 2),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1, 1),
        ({"memory/memory.limit_in_bytes": str(100 * 2**20)}, 16, 1),
    ],
    ids=str,
)
def test_the_control_group_limits_cpus_and_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cpus: int, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert (available_cpus(tmp_path), default_workers(tmp_path)) == (cpus, workers)
