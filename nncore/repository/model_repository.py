"""The model repository: published versions on disk, where the trainer and the service meet.

`<root>/<name>/<version>/` holds `model.safetensors`, `model.json` and `report/`. A version appears
whole, by a rename, and never changes.
"""

import hashlib
import platform
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from nncore.encoding import scale_pixels
from nncore.messages import one_line
from nncore.model import FCModel
from nncore.repository.files import locked, sync_folder, write_durably
from nncore.repository.manifest import Manifest, Probe
from nncore.types import Array

WEIGHTS_FILE = "model.safetensors"
MANIFEST_FILE = "model.json"
REPORT_FOLDER = "report"
# Kernels of another processor may round differently; a wrong network is off by far more.
PROBE_TOLERANCE = 1e-4

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_UNFINISHED = ".publishing"
_LARGEST_HEADER = 1 << 20
_LARGEST_MANIFEST = 1 << 24


# Of each of a version's files its size, time of change and inode; zeros where there is none.
Fingerprint = tuple[tuple[int, int, int], ...]


class RepositoryError(Exception):
    """Something is wrong with a repository; the message says what in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class VersionNotFoundError(RepositoryError):
    """There is no such model or version."""


class DamagedVersionError(RepositoryError):
    """A version's files are not what its publisher wrote."""


@dataclass(frozen=True)
class PublishedModel:
    """A version that has been loaded and verified."""

    manifest: Manifest
    model: FCModel


class ModelRepository:
    """The versions of any number of models under one folder.

    Args:
        root: The folder; it need not exist before the first `publish`.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def names(self) -> list[str]:
        """List the models, in the order of the alphabet; empty where there is no repository.

        Raises:
            OSError: The folder cannot be read.
        """
        if not self.root.is_dir():
            return []
        return sorted(
            entry.name
            for entry in self.root.iterdir()
            if _NAME.fullmatch(entry.name) and entry.is_dir()
        )

    def fingerprint(self, name: str, version: int) -> Fingerprint:
        """Tell, without reading them, the files of a version from any that take their place.

        Raises:
            ValueError: The name cannot be a model's.
        """
        folder = self._model_folder(name) / str(version)
        return tuple(_file_fingerprint(folder / file) for file in (MANIFEST_FILE, WEIGHTS_FILE))

    def versions(self, name: str) -> list[int]:
        """List the versions of a model, lowest first; empty where there is none.

        Raises:
            ValueError: The name cannot be a model's.
        """
        folder = self._model_folder(name)
        if not folder.is_dir():
            return []
        return sorted(
            int(entry.name) for entry in folder.iterdir() if _VERSION.fullmatch(entry.name)
        )

    def load(self, name: str, version: int | None = None) -> PublishedModel:
        """Load a version and verify digest, signature, tensors and probes.

        Args:
            name: The model.
            version: The version; the highest when None.

        Raises:
            VersionNotFoundError: There is no such version.
            DamagedVersionError: A check failed.
            ValueError: The name cannot be a model's.
        """
        versions = self.versions(name)
        if version is None and versions:
            version = versions[-1]
        if version is None or version not in versions:
            wanted = f"version {version} of model {name!r}" if version else f"model {name!r}"
            there = f"; there is {', '.join(map(str, versions))}" if versions else ""
            raise VersionNotFoundError(f"no {wanted} in {self.root}{there}")
        published = _read(self._model_folder(name) / str(version))
        found = published.manifest.name, published.manifest.version
        if found != (name, version):
            raise DamagedVersionError(
                f"{name} {version}: expected {MANIFEST_FILE} to be of {name} {version}, "
                f"got {found[0]} {found[1]}"
            )
        return published

    def publish(
        self,
        name: str,
        model: FCModel,
        *,
        labels: Sequence[str],
        probe_images: Array,
        provenance: Mapping[str, Any],
        report: Mapping[str, bytes],
        verify: Callable[[PublishedModel], None] | None = None,
    ) -> PublishedModel:
        """Write the next version of a model; it appears whole or, where anything fails, not at all.

        Args:
            name: The model: letters, digits, ".", "_" and "-".
            model: The network; float32.
            labels: The name of each class.
            probe_images: `(probes, *input_shape)` uint8 grey levels, whose answers are recorded.
            provenance: Further members of `model.json`, JSON values.
            report: File name -> content, for people.
            verify: Called with the version as its files read back, just before it appears; what
                it raises keeps the version from appearing.

        Returns:
            The version as a reader will load it.

        Raises:
            OSError: It cannot be written.
            RepositoryError: What was written does not read back.
            ValueError: The name cannot be a model's.
        """
        weights = save_tensors({k: np.ascontiguousarray(v) for k, v in model.state_dict().items()})
        draft = Manifest(
            name=name,
            version=0,
            layers=list(model.layer_sizes),
            input_shape=list(model.input_shape),
            labels=list(labels),
            sha256=hashlib.sha256(weights).hexdigest(),
            probes=_probes(model, probe_images),
            provenance={
                **provenance,
                "libraries": {"python": platform.python_version(), "numpy": np.__version__},
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        with self._unfinished_version(name) as unfinished:
            version = max(self.versions(name), default=0) + 1
            manifest = replace(draft, version=version)
            write_durably(unfinished / WEIGHTS_FILE, weights)
            write_durably(unfinished / MANIFEST_FILE, manifest.to_json().encode())
            (unfinished / REPORT_FOLDER).mkdir()
            for file_name, content in report.items():
                write_durably(unfinished / REPORT_FOLDER / file_name, content)
            sync_folder(unfinished / REPORT_FOLDER)
            sync_folder(unfinished)
            published = _read(unfinished)
            if verify:
                verify(published)
            unfinished.rename(unfinished.with_name(str(version)))
            sync_folder(unfinished.parent)
            return published

    def check_writable(self, name: str) -> None:
        """Find out before hours of training whether `publish` will be able to write.

        Raises:
            OSError: It will not.
            ValueError: The name cannot be a model's.
        """
        with self._unfinished_version(name):
            pass

    @contextmanager
    def _unfinished_version(self, name: str) -> Iterator[Path]:
        """Hold the repository's lock and a folder to write in; remove it unless it is renamed.

        Whoever holds the lock is the only publisher alive, so that such a folder, of any model, is
        the litter of one that was killed.
        """
        unfinished = self._model_folder(name) / _UNFINISHED
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root):
            for litter in self.root.glob(f"*/{_UNFINISHED}"):
                _remove_unfinished(litter)
            try:
                unfinished.mkdir(parents=True)
                sync_folder(self.root)
                yield unfinished
            finally:
                _remove_unfinished(unfinished)

    def _model_folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"expected a model name of letters, digits, '.', '_' and '-', got {name!r}"
            )
        return self.root / name


def _remove_unfinished(folder: Path) -> None:
    """Remove what became no version, and the model's folder where it holds none."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # it is not empty
        folder.parent.rmdir()


def _file_fingerprint(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ino


def _read(folder: Path) -> PublishedModel:
    """Load the version in a folder and check everything but its name and number."""
    try:
        manifest = _read_manifest(folder / MANIFEST_FILE)
        weights = _read_weights(folder / WEIGHTS_FILE, manifest)
        model = FCModel(
            manifest.input_shape,
            manifest.layers[1:-1],
            manifest.layers[-1],
            rng=np.random.default_rng(0),
        )
        model.load_state_dict(_tensors(weights))
        check_probes(model, manifest.probes)
    except (OSError, ValueError, SafetensorError) as error:
        raise DamagedVersionError(f"{folder.parent.name} {folder.name}: {error}") from error
    return PublishedModel(manifest, model)


def _read_manifest(path: Path) -> Manifest:
    """Read the manifest once it is found to be a file: from a pipe, nothing might ever come."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_MANIFEST:
        raise ValueError(
            f"expected {path.name} to be a file of at most {_LARGEST_MANIFEST} bytes, "
            f"got {stat.filemode(found.st_mode)} of {found.st_size} bytes"
        )
    return Manifest.from_json(path.read_bytes())


def _read_weights(path: Path, manifest: Manifest) -> bytes:
    """Read the weights file once its size is found plausible, and check its digest."""
    layers = manifest.layers
    weight_bytes = 4 * sum((i + 1) * o for i, o in pairwise(layers))
    size = path.stat().st_size
    if not weight_bytes < size <= weight_bytes + _LARGEST_HEADER:
        raise ValueError(
            f"expected {path.name} to hold {weight_bytes} bytes of weights after its header, "
            f"got {size} bytes in all"
        )
    weights = path.read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if digest != manifest.sha256:
        raise ValueError(f"expected {path.name} of SHA-256 {manifest.sha256}, got {digest}")
    return weights


def _tensors(weights: bytes) -> dict[str, Array]:
    try:
        tensors: dict[str, Array] = load_tensors(weights)
    except KeyError as error:  # numpy has no such type
        raise ValueError(f"expected tensors of float32, got {error}") from None
    for name, tensor in tensors.items():
        # The probes need not meet them: -inf, before ReLU, is as good as any negative number.
        if not np.isfinite(tensor).all():
            raise ValueError(f"expected {name} to be finite, got NaN or infinity in it")
    return tensors


def _probes(model: FCModel, images: Array) -> list[Probe]:
    answers = model.predict(scale_pixels(images)).T
    return [
        Probe(image.ravel().tolist(), answer.tolist())
        for image, answer in zip(images, answers, strict=True)
    ]


def check_probes(model: FCModel, probes: Sequence[Probe]) -> None:
    """Check that a network answers its version's probes as its publisher recorded them.

    Raises:
        ValueError: There is no probe, or an answer differs by more than `PROBE_TOLERANCE`.
    """
    if not probes:
        raise ValueError("expected at least one probe, got none")
    with np.errstate(over="ignore", invalid="ignore"):  # which the comparison finds
        answers = model.predict(scale_pixels(np.array([probe.pixels for probe in probes]))).T
    expected = np.array([probe.probabilities for probe in probes])
    difference = np.abs(answers - expected).max()
    if not difference <= PROBE_TOLERANCE:  # also true of NaN
        raise ValueError(
            f"expected the probes' probabilities to within {PROBE_TOLERANCE}, "
            f"got a difference of {difference:.2g}"
        )
