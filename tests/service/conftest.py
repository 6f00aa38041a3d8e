"""Models to serve, and the application that serves them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from nncore import FCModel, ModelRepository, PublishedModel
from service import create_app
from service.settings import Settings

MakeClient = Callable[..., FlaskClient]


def publish(
    root: Path,
    shape: Sequence[int] = (28, 28),
    labels: Sequence[str] = tuple("0123456789"),
    seed: int = 0,
    data_set: str | None = None,
    hidden_sizes: Sequence[int] = (16,),
) -> PublishedModel:
    """Publish the next version of `mnist`, an untrained network."""
    rng = np.random.default_rng(seed)
    return ModelRepository(root).publish(
        "mnist",
        FCModel(shape, hidden_sizes, len(labels), rng=rng),
        labels=labels,
        probe_images=rng.integers(0, 256, (2, *shape)).astype(np.uint8),
        provenance={"dataset": {"name": data_set}} if data_set else {},
        report={},
    )


def make_app(settings: Settings) -> Flask:
    """Return the application without background threads."""
    return create_app(settings, background=False)


def run_inline(target: Callable[[], None], *, daemon: bool) -> Mock:
    """Stand for `Thread`: its start returns when the target has ended."""
    return Mock(start=target)


@pytest.fixture
def published(tmp_path: Path) -> PublishedModel:
    return publish(tmp_path)


@pytest.fixture
def app(published: PublishedModel, tmp_path: Path) -> Flask:
    return make_app(Settings(model_dir=str(tmp_path), max_batch=8, max_body_bytes=2**18))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def make_client(published: PublishedModel, tmp_path: Path) -> MakeClient:
    """Return a function that maps settings to a client of the application with a model."""
    return lambda **settings: make_app(Settings(model_dir=str(tmp_path), **settings)).test_client()
