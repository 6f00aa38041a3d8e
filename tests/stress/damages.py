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


def damages(sound: Path) -> list[Damage]:
    """Return the damages of versions that have the layout of a sound one."""
    truncations = [
        partial(_truncate, file=file, share=share)
        for file in _FILES
        for share in (0, 0.001, 0.5, 0.999)
    ]
    # Anything else in the place of a file, or of the version.
    kinds: list[Callable[[Path], object]] = [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("nothing"),
    ]
    file_kinds = [*kinds, lambda _: None, lambda path: path.symlink_to("/dev/zero"), _make_huge]
    return [
        *flips(sound),
        *truncations,
        *_forgeries(sound),
        *(partial(_replace, make=make) for make in (*kinds, Path.touch)),
        *(partial(_replace, make=make, file=file) for make in file_kinds for file in _FILES),
    ]


def flips(sound: Path) -> list[Damage]:
    """Return damages of one bit, in each part of the weights and in each value of the manifest."""
    weights = (sound / WEIGHTS_FILE).read_bytes()
    first = 8 + int.from_bytes(weights[:8], "little")
    positions = [0, 7, 8, first // 2, first, (first + len(weights)) // 2, len(weights) - 1]
    members = (sound / MANIFEST_FILE).read_bytes().count(b'\n  "')
    return [
        *(partial(_flip, file=WEIGHTS_FILE, position=position) for position in positions),
        *(partial(_flip_member, number=number) for number in range(members)),
    ]


def _forgeries(sound: Path) -> list[Damage]:
    """Return damages that no checksum detects."""
    manifest = Manifest.from_json((sound / MANIFEST_FILE).read_bytes())
    pixels, hidden, classes = manifest.layers
    members: list[dict[str, Any]] = [
        {"layers": [pixels, hidden + 1, classes]},
        {"layers": [pixels, 10**12, classes]},
        {"labels": manifest.labels[1:]},
        {"probes": []},
        {"version": 1},
    ]
    tensors: list[tuple[str, Any]] = [
        *((name, value) for name in ("0.weight", "2.weight") for value in (np.nan, np.inf)),
        ("2.weight", None),
    ]
    return [
        *(partial(_forge_manifest, **member) for member in members),
        *(partial(_forge_tensor, name=name, value=value) for name, value in tensors),
    ]


def _truncate(folder: Path, file: str, share: float) -> None:
    os.truncate(folder / file, int(share * (folder / file).stat().st_size))


def _flip(folder: Path, file: str, position: int) -> None:
    content = bytearray((folder / file).read_bytes())
    content[position] ^= 1
    (folder / file).write_bytes(content)


def _flip_member(folder: Path, number: int) -> None:
    """Flip a bit in the middle of a value of the manifest, which has one line per member."""
    *lines, _ = (folder / MANIFEST_FILE).read_bytes().splitlines(keepends=True)
    name, value = lines[1 + number].split(b": ", 1)
    middle = len(b"".join(lines[: 1 + number])) + len(name) + len(value) // 2
    _flip(folder, MANIFEST_FILE, middle)


def _forge_manifest(folder: Path, **members: Any) -> None:
    manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    (folder / MANIFEST_FILE).write_text(replace(manifest, **members).to_json())


def _forge_tensor(folder: Path, name: str, value: float | None) -> None:
    """Replace one weight of a tensor, or leave the tensor out."""
    tensors = {key: tensor.copy() for key, tensor in load_file(folder / WEIGHTS_FILE).items()}
    if value is None:
        del tensors[name]
    else:
        tensors[name][0, 0] = value
    weights = save(tensors)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    _forge_manifest(folder, sha256=hashlib.sha256(weights).hexdigest())


def _replace(folder: Path, make: Callable[[Path], object], file: str = ".") -> None:
    path = folder / file
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


def _make_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)
