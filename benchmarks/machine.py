"""The machine and the versions that a figure belongs to, and the data and an earlier commit."""

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions, version
from pathlib import Path

from trainer.labelled_images import LabelledImages
from trainer.mnist import load_mnist

ROOT = Path(__file__).parents[1]
# The environment with the packages that we compare with.
PEERS = ROOT / ".venv-bench"
# The commit that later ones are compared with.
BASELINE_COMMIT = "5f694d1"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def describe(packages: Sequence[str] = (), peers: Sequence[str] = ()) -> str:
    """Return a line with the date, the processor, and the versions of packages.

    Args:
        packages: Packages of this environment.
        peers: Packages of `.venv-bench`; those that are not installed are left out.
    """
    folders = [str(folder) for folder in PEERS.glob("lib/python*/site-packages")]
    versions = {package: version(package) for package in ("numpy", *packages)} | {
        name: found.version for name in peers for found in distributions(name=name, path=folders)
    }
    software = ", ".join(f"{name} {number}" for name, number in versions.items())
    today = datetime.datetime.now(datetime.UTC).date()
    machine = f"{_processor()}, {os.cpu_count()} cores"
    return f"Measured on {today}: {machine}; Python {platform.python_version()}, {software}."


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def load_real_mnist() -> tuple[LabelledImages, LabelledImages]:
    """Return the training and test images of DATA_DIR; exits where it is not set."""
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        sys.exit("expected DATA_DIR to name a directory with MNIST's four IDX files, got none")
    data = load_mnist(Path(data_dir), Path(), mirrors=())
    assert data.test is not None
    return data.train, data.test


def check_out_baseline(folder: Path) -> Path:
    """Write the files of BASELINE_COMMIT to a new folder, and return the folder.

    Raises:
        subprocess.CalledProcessError: The history is not available.
    """
    folder.mkdir()
    archive = subprocess.check_output(["git", "archive", BASELINE_COMMIT], cwd=ROOT)
    subprocess.run(["tar", "--extract"], cwd=folder, input=archive, check=True)
    return folder
