"""The Flask application: settings, models, routes, and the middleware around them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from flask import Flask

from service.errors import register_error_handlers
from service.inference import Inference
from service.middleware import Middleware
from service.models.registry import Registry
from service.observability.metrics import Metrics
from service.protocols.mlflow import create_mlflow_routes
from service.protocols.open_inference import create_open_inference_routes
from service.protocols.predict import create_predict_routes
from service.protocols.tensorflow_serving import create_tensorflow_serving_routes
from service.settings import Settings
from service.status_routes import create_status_routes
from service.web.routes import create_page_routes

_SNAPSHOT_SECONDS = 0.25

_log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, *, background: bool = True) -> Flask:
    """Return the application with its models loaded; `service.create_app` is its public name."""
    if settings is None:
        settings = Settings.from_environment(os.environ)
    app = Flask("service", static_folder=None, template_folder="web/templates")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.merge_slashes = False  # it would redirect, and a redirected POST loses its body
    folder = os.environ.get("METRICS_DIR")
    metrics = Metrics(Path(folder) if folder else None)
    registry = Registry(settings, metrics)
    registry.refresh()
    if background:
        if folder:
            run_every(_SNAPSHOT_SECONDS, metrics.write_snapshot)
        if settings.reload_seconds:
            run_every(settings.reload_seconds, registry.refresh)
    app.register_blueprint(create_status_routes(registry, metrics))
    app.register_blueprint(create_page_routes(registry, settings))
    inference = Inference(registry)
    app.register_blueprint(create_predict_routes(inference))
    app.register_blueprint(create_open_inference_routes(inference))
    app.register_blueprint(create_tensorflow_serving_routes(inference))
    app.register_blueprint(create_mlflow_routes(inference))
    register_error_handlers(app)
    middleware = Middleware(app.wsgi_app, settings, metrics)
    app.wsgi_app = middleware  # type: ignore[method-assign]
    app.extensions |= {"nodestack.middleware": middleware, "nodestack.settings": settings}
    return app


def run_every(seconds: float, function: Callable[[], None]) -> None:
    """Call a function in a background thread every so many seconds until the process ends."""

    def run() -> None:
        while True:
            time.sleep(seconds)
            try:
                function()
            except Exception:  # noqa: BLE001 - the thread must outlive any single failure
                _log.exception("%s failed; the next attempt follows", function.__qualname__)

    Thread(target=run, daemon=True).start()
