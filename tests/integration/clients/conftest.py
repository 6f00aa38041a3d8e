"""The running service that the clients talk to: one of their own, or the one at SERVICE_URL."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nncore import scale_pixels
from nncore.repository import ModelRepository, PublishedModel
from nncore.types import Array
from tests.support.models import publish
from tests.support.server import running
from trainer.synthetic import generate_digits


@dataclass(frozen=True)
class Served:
    """A running service and its current version."""

    url: str
    published: PublishedModel

    @property
    def name(self) -> str:
        return self.published.manifest.name

    @property
    def version(self) -> int:
        return self.published.manifest.version

    def expected(self, levels: Array) -> Array:
        return self.published.model.predict(scale_pixels(levels)).T


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if url := os.environ.get("SERVICE_URL"):
        repository = ModelRepository(os.environ["MODEL_DIR"])
        name = os.environ.get("MODEL_NAME", "mnist")
        yield Served(url.rstrip("/"), repository.load(name))
        return
    folder = tmp_path_factory.mktemp("served")
    publish(folder / "models")
    newest = publish(folder / "models", seed=1)
    environment = {"WEB_CONCURRENCY": "1", "MODEL_NAME": "mnist"}
    with running(folder / "models", folder / "log", environment) as service:
        yield Served(f"http://127.0.0.1:{service.port}", newest)


@pytest.fixture(scope="session")
def levels() -> Array:
    # Noise gets huge logits of a trained network, whose rounding depends on the batch.
    return generate_digits(3, seed=0)[0]
