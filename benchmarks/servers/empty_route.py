"""A Flask route that does nothing, behind the service's own bridge and middleware."""

import os

from flask import Blueprint, Flask, Response

from service.asgi import Bridge
from service.middleware import Middleware
from service.observability.metrics import Metrics
from service.settings import Settings

_routes = Blueprint("empty", __name__)


@_routes.post("/predict")
def predict() -> Response:
    """Return an empty JSON document."""
    return Response(b"{}", mimetype="application/json")


_flask = Flask("empty")
_flask.register_blueprint(_routes)
_settings = Settings.from_environment(os.environ)
app = Bridge(Middleware(_flask.wsgi_app, _settings, Metrics(None)), _settings)
