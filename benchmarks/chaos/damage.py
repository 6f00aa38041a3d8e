"""Ways in which a version on disk can be damaged."""

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

# Damages a version in its folder, so that no reader may accept it.
Damage = Callable[[Path], object]
_HUGE = 2**40


def copy_version(source: Path, folder: Path) -> None:
    """Copy a version; its new number is the name of the new folder."""
    shutil.copytree(source, folder)
    _forge_manifest(version=int(folder.name))(folder)


def damages(sound: Path) -> dict[str, Damage]:
    """Return the damages by name.

    Args:
        sound: A version of the layout of those that are to be damaged.
    """
    return {
        **_truncations(sound),
        **_flips(sound),
        **_forgeries(sound),
        **_files(),
        **_folders(),
    }


def _truncations(sound: Path) -> dict[str, Damage]:
    return {
        f"{file} truncated to {part:.0%} of its bytes": _truncate(
            file, int(part * (sound / file).stat().st_size)
        )
        for file in (WEIGHTS_FILE, MANIFEST_FILE)
        for part in (0, 0.001, 0.5, 0.999)
    }


def _flips(sound: Path) -> dict[str, Damage]:
    weights = (sound / WEIGHTS_FILE).read_bytes()
    first_weight = 8 + int.from_bytes(weights[:8], "little")
    regions = {
        "the header's length": 0,
        "the header's length, its highest byte": 7,
        "the header": 8,
        "the header's middle": first_weight // 2,
        "the first weight": first_weight,
        "a weight in the middle": (first_weight + len(weights)) // 2,
        "the last weight": len(weights) - 1,
    }
    flips = {f"a bit of {name}": _flip(WEIGHTS_FILE, at) for name, at in regions.items()}
    # The manifest has one line per member.
    lines = (sound / MANIFEST_FILE).read_bytes().splitlines(keepends=True)
    for start, line in zip(accumulate(map(len, lines), initial=0), lines, strict=False):
        if b": " in line:
            name, value = line.split(b": ", 1)
            middle = start + len(name) + 2 + (len(value) - 2) // 2
            flips[f"a bit of the manifest's {name.strip().decode()}"] = _flip(MANIFEST_FILE, middle)
    return flips


def _forgeries(sound: Path) -> dict[str, Damage]:
    """Return damages that no checksum detects."""
    manifest = Manifest.from_json((sound / MANIFEST_FILE).read_bytes())
    pixels, *hidden, classes = manifest.layers
    members: dict[str, dict[str, Any]] = {
        "a layer wider than its tensors": {"layers": [pixels, hidden[0] + 1, *hidden[1:], classes]},
        "a layer of 10^12": {"layers": [pixels, 10**12, classes]},
        "an input of another shape": {"input_shape": [pixels + 1]},
        "a label too few": {"labels": manifest.labels[1:]},
        "no probes": {"probes": []},
        "another digest": {"sha256": "0" * 64},
        "another name": {"name": "other"},
        "another number": {"version": 1},
    }
    last = f"{2 * len(hidden)}.weight"
    tensors: dict[str, Callable[[dict[str, Array]], object]] = {
        "a tensor transposed": lambda t: t.update({last: np.ascontiguousarray(t[last].T)}),
        "a tensor gone": lambda t: t.pop(last),
        "integers": lambda t: t.update({last: t[last].astype(np.int32)}),
    }
    for name in ("0.weight", last):
        for value in (np.nan, np.inf, -np.inf):
            tensors[f"{value} in {name}"] = partial(_put, name=name, value=value)
    return {name: _forge_manifest(**changed) for name, changed in members.items()} | {
        name: _forge_tensors(change) for name, change in tensors.items()
    }


def _files() -> dict[str, Damage]:
    """Return what else can be in a file's place."""
    kinds: dict[str, Callable[[Path], object]] = {
        "gone": lambda _: None,
        "a folder": Path.mkdir,
        "a pipe": os.mkfifo,
        "a symbolic link to itself": lambda path: path.symlink_to(path.name),
        "a dangling symbolic link": lambda path: path.symlink_to("nothing"),
        "a symbolic link to zeros without end": lambda path: path.symlink_to("/dev/zero"),
        "huge and sparse": _make_huge,
    }
    if os.geteuid() != 0:  # root may read everything
        kinds["unreadable"] = lambda path: path.touch(mode=0)
    return {
        f"{file} {kind}": partial(_replace, file=file, make=make)
        for file in (WEIGHTS_FILE, MANIFEST_FILE)
        for kind, make in kinds.items()
    }


def _folders() -> dict[str, Damage]:
    """Return what else can be in a version's place."""
    kinds: dict[str, Callable[[Path], object]] = {
        "an empty folder": Path.mkdir,
        "a file": lambda path: path.write_text("no version"),
        "a pipe": os.mkfifo,
        "a symbolic link to itself": lambda path: path.symlink_to(path.name),
        "a dangling symbolic link": lambda path: path.symlink_to("nothing"),
    }
    return {f"the version {kind}": partial(_replace, make=make) for kind, make in kinds.items()}


def _truncate(file: str, size: int) -> Damage:
    return lambda folder: os.truncate(folder / file, size)


def _flip(file: str, position: int) -> Damage:
    def flip(folder: Path) -> None:
        content = bytearray((folder / file).read_bytes())
        content[position] ^= 1
        (folder / file).write_bytes(content)

    return flip


def _forge_manifest(**members: Any) -> Damage:
    def forge(folder: Path) -> None:
        manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
        (folder / MANIFEST_FILE).write_text(replace(manifest, **members).to_json())

    return forge


def _forge_tensors(change: Callable[[dict[str, Array]], object]) -> Damage:
    def forge(folder: Path) -> None:
        tensors: Mapping[str, Array] = load_file(folder / WEIGHTS_FILE)
        changed = {name: tensor.copy() for name, tensor in tensors.items()}
        change(changed)
        weights = save(changed)
        (folder / WEIGHTS_FILE).write_bytes(weights)
        _forge_manifest(sha256=hashlib.sha256(weights).hexdigest())(folder)

    return forge


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
    os.truncate(path, _HUGE)
