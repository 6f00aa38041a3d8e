"""Publishing and loading the versions of models.

`<root>/<name>/<version>/` holds `model.safetensors`, `model.json` and `report/`. Publishing is
atomic, by a rename, and a published version never changes.
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
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import nncore
from nncore.encoding import scale_pixels
from nncore.losses import SoftmaxCrossEntropy
from nncore.messages import one_line
from nncore.model import FCModel
from nncore.node import Node
from nncore.predictor import Predictor
from nncore.repository.files import locked, sync_folder, write_durably
from nncore.repository.manifest import Manifest, Probe
from nncore.types import Array

WEIGHTS_FILE = "model.safetensors"
MANIFEST_FILE = "model.json"
REPORT_FOLDER = "report"
# Other processors round differently, by far less than this.
PROBE_TOLERANCE = 1e-4

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_UNFINISHED = ".publishing"
_LARGEST_HEADER = 1 << 20
_LARGEST_MANIFEST = 1 << 24
# What loading a damaged version raises; `Node` itself has no `apply` (NotImplementedError).
_DAMAGES = (
    *(OSError, ValueError, TypeError, SafetensorError),
    *(OverflowError, MemoryError, NotImplementedError),
)


# Size, modification time and inode of each file of a version; zeros for a missing file.
Fingerprint = tuple[tuple[int, int, int], ...]


class RepositoryError(Exception):
    """A repository cannot be used; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class VersionNotFoundError(RepositoryError):
    """The model or version does not exist."""


class DamagedVersionError(RepositoryError):
    """The files of a version fail a check."""


@dataclass(frozen=True)
class PublishedModel:
    """A loaded and verified version."""

    manifest: Manifest
    model: FCModel


class ModelRepository:
    """The versions of any number of models under one folder.

    Args:
        root: The folder; the first `publish` creates it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def names(self) -> list[str]:
        """Return the names of the models, sorted; empty if there is no repository.

        Raises:
            OSError: The folder cannot be read.
        """
        if not self.root.is_dir():
            return []
        names = (entry.name for entry in self.root.iterdir() if entry.is_dir())
        return sorted(name for name in names if _NAME.fullmatch(name))

    def fingerprint(self, name: str, version: int) -> Fingerprint:
        """Return a value that changes when a file of the version is replaced.

        Raises:
            RepositoryError: The name is not valid.
        """
        folder = self._model_folder(name) / str(version)
        return tuple(_file_fingerprint(folder / file) for file in (MANIFEST_FILE, WEIGHTS_FILE))

    def versions(self, name: str) -> list[int]:
        """Return the versions of a model, sorted; empty if there are none.

        Raises:
            RepositoryError: The name is not valid.
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
            RepositoryError: The name is not valid.
        """
        versions = self.versions(name)
        if version is None and versions:
            version = versions[-1]
        if version is None or version not in versions:
            if not versions:
                raise VersionNotFoundError(f"no model {name!r} in {self.root}")
            available = ", ".join(map(str, versions))
            raise VersionNotFoundError(
                f"model {name!r} has no version {version} (available: {available})"
            )
        published = _read(self._model_folder(name) / str(version))
        found = published.manifest.name, published.manifest.version
        if found != (name, version):
            raise DamagedVersionError(
                f"{name} {version}: expected a {MANIFEST_FILE} of {name} {version}, "
                f"got one of {found[0]} {found[1]}"
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
        """Publish the next version of a model atomically; on an error nothing appears.

        Args:
            name: The model: letters, digits, ".", "_" and "-".
            model: The network; float32.
            labels: The name of each class.
            probe_images: `(probes, *input_shape)` uint8 grey levels; the model's answers to them
                are checked at every load.
            provenance: Further members of `model.json`, JSON values.
            report: File name -> content of the report.
            verify: Called with the version as loaded from the written files, before the rename;
                raises an exception to prevent publication.

        Returns:
            The version as loaded from the written files.

        Raises:
            OSError: Writing failed.
            RepositoryError: The name is not valid, or the written files cannot be loaded.
        """
        weights = save_tensors({k: np.ascontiguousarray(v) for k, v in model.state_dict().items()})
        draft = Manifest(
            name=name,
            version=0,
            nodes=[{"type": type(node).__name__, **node.config()} for node in model.logit_layers],
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
        """Check that `publish` can write, for example before hours of training.

        Raises:
            OSError: The repository cannot be written.
            RepositoryError: The name is not valid.
        """
        with self._unfinished_version(name):
            pass

    @contextmanager
    def _unfinished_version(self, name: str) -> Iterator[Path]:
        """Yield a folder for the files of a new version, and remove it unless it is renamed.

        The repository is locked meanwhile, so that any other unfinished folder is left over from a
        killed publisher and can be removed.
        """
        unfinished = self._model_folder(name) / _UNFINISHED
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root):
            for leftover in self.root.glob(f"*/{_UNFINISHED}"):
                _remove_unfinished(leftover)
            try:
                unfinished.mkdir(parents=True)
                sync_folder(self.root)
                yield unfinished
            finally:
                _remove_unfinished(unfinished)

    def _model_folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise RepositoryError(
                f"expected a model name of letters, digits, '.', '_' and '-', got {name!r}"
            )
        return self.root / name


def _remove_unfinished(folder: Path) -> None:
    """Remove an unfinished version, and the model's folder if it is then empty."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty
        folder.parent.rmdir()


def _file_fingerprint(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ino


def _read(folder: Path) -> PublishedModel:
    """Load the version in a folder and check everything except its name and number."""
    try:
        manifest = _read_manifest(folder / MANIFEST_FILE)
        layers = [_node(config) for config in manifest.nodes]
        model = FCModel(manifest.input_shape, layers=layers, loss=SoftmaxCrossEntropy())
        weights = _read_weights(folder / WEIGHTS_FILE, manifest.sha256, model)
        model.load_state_dict(_tensors(weights))
        check_probes(model, manifest.probes)
    except _DAMAGES as error:
        raise DamagedVersionError(f"{folder.parent.name} {folder.name}: {error}") from error
    return PublishedModel(manifest, model)


def _read_manifest(path: Path) -> Manifest:
    """Read the manifest after checking that it is a regular file: reading a pipe would block."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_MANIFEST:
        raise ValueError(
            f"expected {path.name} to be a file of at most {_LARGEST_MANIFEST} bytes, "
            f"got {stat.filemode(found.st_mode)} of {found.st_size} bytes"
        )
    return Manifest.from_json(path.read_bytes())


def _node(config: Mapping[str, Any]) -> Node:
    """Build a node of the package `nncore` from its class name and constructor arguments."""
    arguments = dict(config)
    name = arguments.pop("type", None)
    kind = getattr(nncore, name) if name in nncore.__all__ else None
    if not isinstance(kind, type) or not issubclass(kind, Node):
        raise ValueError(f"expected a node of nncore, got {name!r:.50}")
    return kind.from_config(arguments)


def _read_weights(path: Path, sha256: str, model: FCModel) -> bytes:
    """Read the weights file after checking its size, and check its digest."""
    weight_bytes = sum(value.nbytes for value in model.state_dict().values())
    size = path.stat().st_size
    if not weight_bytes < size <= weight_bytes + _LARGEST_HEADER:
        raise ValueError(
            f"expected {path.name} to hold a header and {weight_bytes} bytes of weights, "
            f"got {size} bytes in total"
        )
    weights = path.read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if digest != sha256:
        raise ValueError(f"expected {path.name} of SHA-256 {sha256}, got {digest}")
    return weights


def _tensors(weights: bytes) -> dict[str, Array]:
    try:
        tensors: dict[str, Array] = load_tensors(weights)
    except KeyError as error:  # a type that numpy lacks
        raise ValueError(f"expected tensors of float32, got {error}") from None
    for name, tensor in tensors.items():
        # The probes may not detect them: before ReLU, -inf has the effect of any negative number.
        if not np.isfinite(tensor).all():
            raise ValueError(f"expected {name} to be finite, got NaN or infinity")
    return tensors


def _probes(model: FCModel, images: Array) -> list[Probe]:
    answers = model.predict(scale_pixels(images)).T
    return [
        Probe(image.ravel().tolist(), answer.tolist())
        for image, answer in zip(images, answers, strict=True)
    ]


def check_probes(model: Predictor, probes: Sequence[Probe]) -> None:
    """Check that a network returns the probabilities that were recorded in its probes.

    Raises:
        ValueError: There is no probe, or a probability differs by more than `PROBE_TOLERANCE`.
    """
    if not probes:
        raise ValueError("expected at least one probe, got none")
    with np.errstate(over="ignore", invalid="ignore"):  # the comparison below detects these
        answers = model.predict(scale_pixels(np.array([probe.pixels for probe in probes]))).T
    expected = np.array([probe.probabilities for probe in probes])
    if answers.shape != expected.shape:
        raise ValueError(f"expected {expected.shape[1]} classes, got {answers.shape[1]}")
    difference = np.abs(answers - expected).max()
    if not difference <= PROBE_TOLERANCE:  # also true of NaN
        raise ValueError(
            f"expected the probabilities of the probes to within {PROBE_TOLERANCE}, "
            f"got a difference of {difference:.2g}"
        )
