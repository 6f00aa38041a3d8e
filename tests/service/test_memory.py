import subprocess
import sys

import pytest

# In a process of its own, whose memory nothing else has used.
PROGRAM = """
import resource
from PIL import Image
from service.memory import tune_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

tune_memory()
before = resident()
for _ in range(2):
    images = [Image.new("RGBA", (4000, side), "white") for side in (1000, 4000, 2000)]
    del images
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it asks the Linux kernel")
def test_large_images_leave_nothing_behind() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert int(result.stdout) < 8 * 2**20
