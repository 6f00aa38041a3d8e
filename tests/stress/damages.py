"""Ways in which a version on disk can be damaged, so that no reader may accept it."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from nncore.repository import MANIFEST_FILE, WEIGHTS_FILE, Manifest
from nncore.types import Array

# Damages a version in its folder.
Damage = Callable[[Path], object]
_FILES = (WEIGHTS_FILE, MANIFEST_FILE)


def copy_version(source: Path, folder: Path) -> None:
    """Copy a version; the name of the new folder is its number."""
    shutil.copytree(source, folder)
    _forge_manifest(folder, version=int(folder.name))


def damages(sound: Path) -> list[Damage]:
    """Return the damages of versions that have the layout of a sound one."""
    return [*flips(sound), *_truncations(sound), *_forgeries(sound), *_replacements()]


def flips(sound: Path) -> list[Damage]:
    """Return damages of one bit, in each part of the weights and in each line of the manifest."""
    weights = (sound / WEIGHTS_FILE).read_bytes()
    first = 8 + int.from_bytes(weights[:8], "little")
    positions = [0, 7, 8, first // 2, first, (first + len(weights)) // 2, len(weights) - 1]
    lines = (sound / MANIFEST_FILE).read_bytes().splitlines(keepends=True)
    values = [
        start + (line.index(b": ") + len(line)) // 2
        for start, line in zip(accumulate(map(len, lines), initial=0), lines, strict=False)
        if b": " in line
    ]
    return [
        *(partial(_flip, file=WEIGHTS_FILE, position=position) for position in positions),
        *(partial(_flip, file=MANIFEST_FILE, position=position) for position in values),
    ]


def _truncations(sound: Path) -> list[Damage]:
    sizes = {file: (sound / file).stat().st_size for file in _FILES}
    return [
        partial(_truncate, file=file, size=int(share * size))
        for file, size in sizes.items()
        for share in (0, 0.001, 0.5, 0.999)
    ]


def _forgeries(sound: Path) -> list[Damage]:
    """Return damages that no checksum detects."""
    manifest = Manifest.from_json((sound / MANIFEST_FILE).read_bytes())
    pixels, *hidden, classes = manifest.layers
    members: list[dict[str, Any]] = [
        {"layers": [pixels, hidden[0] + 1, *hidden[1:], classes]},
        {"layers": [pixels, 10**12, classes]},
        {"input_shape": [pixels + 1]},
        {"labels": manifest.labels[1:]},
        {"probes": []},
        {"sha256": "0" * 64},
        {"name": "other"},
        {"version": 1},
    ]
    last = f"{2 * len(hidden)}.weight"
    changes: list[Callable[[dict[str, Array]], object]] = [
        lambda tensors: tensors.update({last: np.ascontiguousarray(tensors[last].T)}),
        lambda tensors: tensors.pop(last),
        lambda tensors: tensors.update({last: tensors[last].astype(np.int32)}),
        *(
            partial(_put, name=name, value=value)
            for name in ("0.weight", last)
            for value in (np.nan, np.inf, -np.inf)
        ),
    ]
    return [
        *(partial(_forge_manifest, **member) for member in members),
        *(partial(_forge_tensors, change=change) for change in changes),
    ]


def _replacements() -> list[Damage]:
    """Return damages that put something else in the place of a file or of the version."""
    kinds: list[Callable[[Path], object]] = [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("nothing"),
    ]
    file_kinds: list[Callable[[Path], object]] = [
        lambda _: None,
        lambda path: path.symlink_to("/dev/zero"),
        _make_huge,
    ]
    if os.geteuid() != 0:  # root may read everything
        file_kinds.append(lambda path: path.touch(mode=0))
    return [
        *(partial(_replace, make=make) for make in (*kinds, Path.touch)),
        *(
            partial(_replace, make=make, file=file)
            for make in (*kinds, *file_kinds)
            for file in _FILES
        ),
    ]


def _truncate(folder: Path, file: str, size: int) -> None:
    os.truncate(folder / file, size)


def _flip(folder: Path, file: str, position: int) -> None:
    content = bytearray((folder / file).read_bytes())
    content[position] ^= 1
    (folder / file).write_bytes(content)


def _forge_manifest(folder: Path, **members: Any) -> None:
    manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    (folder / MANIFEST_FILE).write_text(replace(manifest, **members).to_json())


def _forge_tensors(folder: Path, change: Callable[[dict[str, Array]], object]) -> None:
    tensors: Mapping[str, Array] = load_file(folder / WEIGHTS_FILE)
    changed = {name: tensor.copy() for name, tensor in tensors.items()}
    change(changed)
    weights = save(changed)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    _forge_manifest(folder, sha256=hashlib.sha256(weights).hexdigest())


def _put(tensors: dict[str, Array], name: str, value: float) -> None:
    tensors[name][0, 0] = value


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
