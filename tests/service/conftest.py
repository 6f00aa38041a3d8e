"""Models to serve, and the application that serves them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from nncore import FCModel, ModelRepository, PublishedModel
from service import create_app
from service.settings import Settings


def publish(
    root: Path,
    shape: Sequence[int] = (28, 28),
    labels: Sequence[str] = tuple("0123456789"),
    seed: int = 0,
) -> PublishedModel:
    """Publish the next version of `mnist`, an untrained network."""
    rng = np.random.default_rng(seed)
    return ModelRepository(root).publish(
        "mnist",
        FCModel(shape, (16,), len(labels), rng=rng),
        labels=labels,
        probe_images=rng.integers(0, 256, (2, *shape)).astype(np.uint8),
        provenance={},
        report={},
    )


def make_app(settings: Settings) -> Flask:
    """Make the application without the threads that a process of its own has."""
    return create_app(settings, background=False)


@pytest.fixture
def published(tmp_path: Path) -> PublishedModel:
    return publish(tmp_path)


@pytest.fixture
def app(published: PublishedModel, tmp_path: Path) -> Flask:
    return make_app(Settings(model_dir=str(tmp_path), max_batch=8, max_body_bytes=2**18))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
