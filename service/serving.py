"""The model that a worker answers with: loaded, verified and warmed up once, at its start."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncore import FCModel, ModelRepository, RepositoryError, VersionNotFoundError
from nncore.types import Array
from service.decoding import ImageDecoder
from service.encoding import class_labels, encode_predictions
from service.settings import Settings

_WARM_UP_BATCHES = (1, 64)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A version that is ready to answer; safe in any number of threads.

    Attributes:
        name: The model's name.
        version: The version's number.
        labels: One a class, as answers show them.
        decoder: For images of this model's shape.
        network: The network itself.
    """

    name: str
    version: int
    labels: Sequence[int | str]
    decoder: ImageDecoder
    network: FCModel

    def predict(self, images: Array) -> Array:
        """Map images, float32 `(batch, pixels)`, to probabilities, float32 `(batch, classes)`."""
        return self.network.predict(images).T

    def answer(self, body: bytes) -> bytes:
        """Decode, predict, encode.

        Raises:
            RequestError: The body holds no images for this model.
        """
        probabilities = self.predict(self.decoder.decode(body))
        return encode_predictions(self.name, self.version, self.labels, probabilities)


@dataclass(frozen=True)
class NotReady:
    """No model can be served; the reason says in one sentence why, and what to do."""

    reason: str


def load_model(settings: Settings) -> ServedModel | NotReady:
    """Load the model that the settings name; what prevents it is logged and returned."""
    try:
        published = ModelRepository(settings.model_dir).load(
            settings.model_name, settings.model_version
        )
    except (RepositoryError, OSError, ValueError) as error:
        not_ready = NotReady(f"{error}: {_remedy(error, settings)}, then restart the service")
        _log.error("not ready: %s", not_ready.reason)
        return not_ready
    manifest, network = published.manifest, published.model
    served = ServedModel(
        name=manifest.name,
        version=manifest.version,
        labels=class_labels(manifest.labels),
        decoder=ImageDecoder(manifest.input_shape, settings.max_batch),
        network=network,
    )
    for batch in _WARM_UP_BATCHES:
        served.predict(np.zeros((batch, manifest.layers[0]), np.float32))
    _log.info("ready: %s %d", served.name, served.version)
    return served


def _remedy(error: Exception, settings: Settings) -> str:
    if isinstance(error, VersionNotFoundError) and settings.model_version is None:
        return "run `make train` (or `docker compose run trainer`)"
    if isinstance(error, VersionNotFoundError):
        return "set MODEL_VERSION to a version that is there"
    if isinstance(error, RepositoryError):
        return "publish a new version or remove this one"
    return "check MODEL_DIR and MODEL_NAME"
