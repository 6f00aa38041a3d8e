"""The application: settings, one model, the routes on it."""

import os

from flask import Flask, Response

from service.bodies import discard_body
from service.errors import register_error_handlers
from service.routes import create_routes
from service.serving import load_model
from service.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application and load its model; `service.create_app` is its public name."""
    if settings is None:
        settings = Settings.from_environment(os.environ)
    app = Flask("service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.merge_slashes = False  # it would redirect, and a redirected POST loses its body
    app.register_blueprint(create_routes(load_model(settings)))
    register_error_handlers(app)
    app.after_request(discard_body)
    app.after_request(_forbid_sniffing)
    return app


def _forbid_sniffing(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
