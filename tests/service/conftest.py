"""Models to serve, and the application that serves them."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from flask import Flask
from flask.testing import FlaskClient

from nncore.repository import PublishedModel
from service import create_app
from service.settings import Settings
from tests.support.models import publish

MakeClient = Callable[..., FlaskClient]


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
