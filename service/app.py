"""The application: settings, models, the routes on them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask import Flask

from service.admission import Admission, Doorkeeper
from service.api_keys import ApiKeys
from service.core import Core
from service.docs import create_documentation_routes
from service.early_refusals import EarlyRefusals
from service.error_answers import register_error_handlers
from service.gate import Gate
from service.memory import tune_memory
from service.metrics import Metrics
from service.models import Models
from service.observation import Observer
from service.page import create_page_routes
from service.protocols import PROTOCOLS
from service.routes import create_routes
from service.settings import Settings
from service.turns import Turns

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


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
    doorkeeper = Doorkeeper(app.wsgi_app, admission, turns)
    guarded = _behind_gates(doorkeeper, settings)
    app.wsgi_app = Observer(guarded, metrics)  # type: ignore[method-assign]
    app.extensions["early_refusals"] = EarlyRefusals(
        admission, Observer(doorkeeper.refuse, metrics)
    )
    return app


def _behind_gates(application: WSGIApplication, settings: Settings) -> WSGIApplication:
    """Put before the application what the settings ask for."""
    if settings.rate_limit:
        # Imported only where it is wanted: it takes a tenth of a second.
        from service.rate_limit import RateLimit

        application = Gate(application, RateLimit(settings.rate_limit).check)
    if settings.api_keys:
        application = Gate(application, ApiKeys(settings.api_keys).check)
    return application
