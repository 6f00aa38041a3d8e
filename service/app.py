"""The application: settings, models, the routes on them."""

import os

from flask import Flask

from service.admission import Admission, Doorkeeper
from service.core import Core
from service.docs import create_documentation_routes
from service.error_answers import register_error_handlers
from service.memory import tune_memory
from service.metrics import Metrics
from service.models import Models
from service.observation import Observer
from service.page import create_page_routes
from service.protocols import PROTOCOLS
from service.routes import create_routes
from service.settings import Settings
from service.turns import Turns


def create_app(settings: Settings | None = None, *, background: bool = True) -> Flask:
    """Make the application and load its models; `service.create_app` is its public name."""
    if settings is None:
        settings = Settings.from_environment(os.environ)
    tune_memory()
    app = Flask("service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.merge_slashes = False  # it would redirect, and a redirected POST loses its body
    metrics = Metrics()
    models = Models(settings, metrics)
    models.refresh()
    if background:
        metrics.flush_for_ever()
        if settings.reload_seconds:
            models.watch(settings.reload_seconds)
    admission = Admission(settings.max_in_flight)
    turns = Turns()
    core = Core(models, admission, turns)
    app.register_blueprint(create_routes(models, metrics))
    app.register_blueprint(create_documentation_routes(models, settings))
    app.register_blueprint(create_page_routes(models))
    for create_protocol_routes in PROTOCOLS:
        app.register_blueprint(create_protocol_routes(core))
    register_error_handlers(app)
    served = Observer(Doorkeeper(app.wsgi_app, admission, turns), metrics)
    app.wsgi_app = served  # type: ignore[method-assign]
    return app
