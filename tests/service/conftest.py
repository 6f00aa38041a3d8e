"""Models to serve, the application that serves them, and checks that many tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore.repository import PublishedModel
from nncore.types import Array
from service import create_app
from service.settings import Settings
from tests.support.models import publish

MakeClient = Callable[..., FlaskClient]


def make_app(settings: Settings) -> Flask:
    return create_app(settings, background=False)


def check_error(response: TestResponse, status: int, words: str = "") -> None:
    """Check an error in the form that clients of other servers expect."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    assert set(response.get_json()) == {"error", "request_id"}
    assert words in response.get_json()["error"]
    assert len(response.data) < 1000


def check_probabilities(got: Any, expected: Array, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def published(model_dir: Path) -> PublishedModel:
    """The one model of the repository, which no test changes."""
    return publish(model_dir)


@pytest.fixture(scope="session")
def make_client(published: PublishedModel, model_dir: Path) -> MakeClient:
    """Return a function that maps settings to a client of the application with a model."""
    return lambda **settings: make_app(Settings(model_dir=str(model_dir), **settings)).test_client()


@pytest.fixture(scope="session")
def client(make_client: MakeClient) -> FlaskClient:
    return make_client(max_batch=8, max_body_bytes=2**18)
