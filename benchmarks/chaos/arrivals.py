"""Ways in which a version comes into a repository."""

import time
from collections.abc import Callable
from pathlib import Path

# Brings a version, from where it was made, into the folder of its model.
Arrival = Callable[[Path, Path], object]
_PARTS = 3
_PAUSE_SECONDS = 0.04
_LARGEST = 2**24


def at_once(version: Path, folder: Path) -> None:
    """Rename it into a model's folder, as a publisher does."""
    version.rename(folder / version.name)


def bit_by_bit(version: Path, folder: Path) -> None:
    """Write its files where they are to stay, as a slow copy does."""
    if version.is_symlink() or not version.is_dir():
        at_once(version, folder)
        return
    target = folder / version.name
    target.mkdir()
    for file in sorted(version.iterdir()):
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _LARGEST:
            at_once(file, target)
        else:
            write_slowly(target / file.name, file.read_bytes())


def write_slowly(path: Path, content: bytes) -> None:
    """Write a file in a few parts, with a pause after each."""
    size = len(content) // _PARTS + 1
    with path.open("wb", buffering=0) as file:
        for start in range(0, max(1, len(content)), size):
            file.write(content[start : start + size])
            time.sleep(_PAUSE_SECONDS)
