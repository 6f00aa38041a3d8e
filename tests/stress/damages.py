"""Ways in which a version on disk can be damaged, so that no reader may accept it."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from nncore.repository import MANIFEST_FILE, WEIGHTS_FILE, Manifest

# Damages a version in its folder.
Damage = Callable[[Path], object]
_FILES = (WEIGHTS_FILE, MANIFEST_FILE)


def copy_version(source: Path, folder: Path) -> None:
    """Copy a version; the name of the new folder is its number."""
    shutil.copytree(source, folder)
    _forge_manifest(folder, version=int(folder.name))


def flip(folder: Path, file: str, share: float) -> None:
    """Flip a bit after a share of the bytes of a file."""
    content = bytearray((folder / file).read_bytes())
    content[int(share * len(content))] ^= 1
    (folder / file).write_bytes(content)


def damages() -> list[Damage]:
    kinds: list[Callable[[Path], object]] = [
        *(Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name))
    ]
    file_kinds = [*kinds, lambda _: None, lambda path: path.symlink_to("/dev/zero"), _make_huge]
    return [
        *(partial(flip, file=file, share=share) for file in _FILES for share in (0.01, 0.8)),
        *(partial(_truncate, file=file, share=share) for file in _FILES for share in (0, 0.5)),
        *(partial(_replace, make=make) for make in (*kinds, Path.touch)),
        *(partial(_replace, make=make, file=file) for make in file_kinds for file in _FILES),
        # No checksum detects these.
        _forge_weight,
        *(partial(_forge_manifest, nodes=_linear_layers(size)) for size in (17, 10**12)),
        partial(_forge_manifest, probes=[]),
        partial(_forge_manifest, version=1),
    ]


def _linear_layers(size: int) -> list[dict[str, Any]]:
    common = {"type": "LinearLayer", "bias": True}
    return [
        {**common, "input_size": 784, "output_size": size},
        {**common, "input_size": size, "output_size": 10},
    ]


def _truncate(folder: Path, file: str, share: float) -> None:
    os.truncate(folder / file, int(share * (folder / file).stat().st_size))


def _replace(folder: Path, make: Callable[[Path], object], file: str = ".") -> None:
    path = folder / file
    remove(path)
    make(path)


def remove(path: Path) -> None:
    """Remove a version or a file of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _make_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def _forge_weight(folder: Path) -> None:
    tensors = {name: tensor.copy() for name, tensor in load_file(folder / WEIGHTS_FILE).items()}
    tensors["0.weight"][0, 0] = np.nan
    weights = save(tensors)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    _forge_manifest(folder, sha256=hashlib.sha256(weights).hexdigest())


def _forge_manifest(folder: Path, **members: Any) -> None:
    manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    (folder / MANIFEST_FILE).write_text(replace(manifest, **members).to_json())
