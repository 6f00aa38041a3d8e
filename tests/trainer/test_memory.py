"""Memory that is freed and allocated again causes no page faults after `keep_freed_memory`."""

import subprocess
import sys

import pytest

# Each round allocates and frees arrays of a size that glibc returns to the system by default.
ROUNDS = """
import resource, sys
import numpy as np
from trainer.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    arrays = [np.ones(2_000_000, np.float32) for _ in range(3)]
    return arrays[0][0]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    command = [sys.executable, "-c", ROUNDS, mode]
    return int(subprocess.check_output(command, text=True, timeout=60))


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_reused_memory_causes_no_page_faults() -> None:
    assert page_faults("keep") < 200 < page_faults("default")
