"""The running service that real clients talk to: one of their own, or the one at SERVICE_URL."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nncore import ModelRepository, PublishedModel, scale_pixels
from nncore.types import Array
from tests.service.conftest import publish
from tests.service.server import running
from trainer.synthetic import generate_digits


@dataclass(frozen=True)
class Served:
    """A running service and what it must answer.

    Attributes:
        url: Where it listens, without a slash at the end.
        repository: The models that it serves.
        published: The version that answers when a request names none.
    """

    url: str
    repository: ModelRepository
    published: PublishedModel

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

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
    name = os.environ.get("MODEL_NAME", "mnist")
    if url := os.environ.get("SERVICE_URL"):
        repository = ModelRepository(os.environ["MODEL_DIR"])
        yield Served(url.rstrip("/"), repository, repository.load(name))
        return
    model_dir: Path = tmp_path_factory.mktemp("models")
    publish(model_dir)
    newest = publish(model_dir, seed=1)
    log = tmp_path_factory.mktemp("log") / "log"
    with running(model_dir, log, {"WEB_CONCURRENCY": "1", "MODEL_NAME": "mnist"}) as service:
        url = f"http://127.0.0.1:{service.port}"
        yield Served(url, ModelRepository(model_dir), newest)


@pytest.fixture(scope="session")
def levels() -> Array:
    """Grey levels of three digits, `(3, 28, 28)`.

    Digits and not noise: to a trained network, noise is an image of huge logits, whose rounding
    differs by more than 1e-6 between a pass of one image and a pass of several.
    """
    return generate_digits(3, seed=0)[0]
