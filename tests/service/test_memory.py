import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from service.memory import made_to_last

# In a process of its own, whose memory nothing else has used.
PROGRAM = """
import resource
from threading import Barrier, Lock, Thread
from PIL import Image
from service.memory import tune_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

tune_memory()
before = resident()
{work}
print(resident() - before)
"""
LARGE = """
for _ in range(2):
    images = [Image.new("RGBA", (4000, side), "white") for side in (1000, 4000, 2000)]
    del images
"""
# What stays when they go is above each of them.
BETWEEN_OTHERS = """
images, others = [], []
for _ in range(4):
    images.append(Image.new("RGB", (1400, 1400), "white"))
    others.append(bytes(100_000))
del images
"""
IN_THREADS = """
together, alone = Barrier(8), Lock()
def decode():
    together.wait()
    with alone:
        Image.new("RGBA", (1000, 1500), "white")
    together.wait()
threads = [Thread(target=decode) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it asks the Linux kernel")
@pytest.mark.parametrize(("work", "most"), [(LARGE, 8), (BETWEEN_OTHERS, 4), (IN_THREADS, 16)])
def test_large_images_leave_little_behind(work: str, most: int) -> None:
    command = [sys.executable, "-c", PROGRAM.format(work=work)]
    result = subprocess.run(command, capture_output=True, check=True)
    assert int(result.stdout) < most * 2**20


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_the_collector_never_goes_through_what_is_made_to_last() -> None:
    with made_to_last():
        enabled = gc.isenabled()
        lasting: list[list[int]] = [[]]
    passing: list[list[int]] = [[]]
    assert not enabled
    assert gc.isenabled()
    assert not any(known is lasting for known in gc.get_objects())
    assert any(known is passing for known in gc.get_objects())


def test_the_collector_runs_on_where_what_was_to_last_could_not_be_made() -> None:
    with pytest.raises(ValueError, match="broken"), made_to_last():
        raise ValueError("broken")
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
