"""The model repository: versions that the trainer publishes and the service loads.

It needs a POSIX system and `safetensors`.
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
