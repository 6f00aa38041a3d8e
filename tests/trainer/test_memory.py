"""Freed arrays stay mapped: using memory again faults in no pages, once the process asked so."""

import subprocess
import sys

import pytest

# Each round makes and frees arrays as a step does, of a size that glibc by default would give back.
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


def page_faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS, how], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is the one that is told")
def test_memory_that_is_used_again_faults_in_no_pages() -> None:
    assert page_faults("keep") < 200 < page_faults("as it is")
