"""The model repository: published versions on disk, where the trainer and the service meet.

It needs a POSIX system and the weight format, and is the only part of `nncore` about files.
"""

from nncore.repository.manifest import Manifest
from nncore.repository.model_repository import (
    MANIFEST_FILE,
    WEIGHTS_FILE,
    DamagedVersionError,
    Fingerprint,
    ModelRepository,
    PublishedModel,
    RepositoryError,
    VersionNotFoundError,
    check_probes,
)

__all__ = [
    "MANIFEST_FILE",
    "WEIGHTS_FILE",
    "DamagedVersionError",
    "Fingerprint",
    "Manifest",
    "ModelRepository",
    "PublishedModel",
    "RepositoryError",
    "VersionNotFoundError",
    "check_probes",
]
