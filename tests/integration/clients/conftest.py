"""The running service that the clients talk to: one of their own, or the one at SERVICE_URL."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from nncore import scale_pixels
from nncore.repository import ModelRepository, PublishedModel
from nncore.types import Array
from tests.support.models import publish
from tests.support.server import running
from trainer.synthetic import generate_digits


@dataclass(frozen=True)
class Served:
    """A running service, the repository that it serves, and the current version."""

    url: str
    repository: ModelRepository
    published: PublishedModel

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    @property
    def name(self) -> str:
        return self.published.manifest.name

    @property
    def version(self) -> int:
        return self.published.manifest.version

    def expected(self, levels: Array) -> Array:
        """The probabilities, `(batch, classes)`, of images with grey levels from 0 to 255."""
        return self.published.model.predict(scale_pixels(levels)).T


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if url := os.environ.get("SERVICE_URL"):
        repository = ModelRepository(os.environ["MODEL_DIR"])
        name = os.environ.get("MODEL_NAME", "mnist")
        yield Served(url.rstrip("/"), repository, repository.load(name))
        return
    folder = tmp_path_factory.mktemp("served")
    publish(folder / "models")
    newest = publish(folder / "models", seed=1)
    environment = {"WEB_CONCURRENCY": "1", "MODEL_NAME": "mnist"}
    with running(folder / "models", folder / "log", environment) as service:
        url = f"http://127.0.0.1:{service.port}"
        yield Served(url, ModelRepository(folder / "models"), newest)


@pytest.fixture(scope="session")
def levels() -> Array:
    """Grey levels of three digits, `(3, 28, 28)`.

    To a trained network, noise is an image of huge logits, whose rounding differs by more than
    1e-6 between a pass of one image and a pass of several.
    """
    return generate_digits(3, seed=0)[0]
