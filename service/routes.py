"""The doors that are no protocol's: health, and which models there are."""

from typing import Any

import orjson
from flask import Blueprint, Response, request

from service.metrics import Metrics
from service.models import Models


def create_routes(models: Models, metrics: Metrics) -> Blueprint:
    """Make the routes that tell of the service itself."""
    routes = Blueprint("service", __name__)

    @routes.get("/health")
    @routes.get("/health/ready")
    def ready() -> Response:
        """Tell whether the worker that answers has a model."""
        model = models.get()
        return _json({"status": "ready", "model": model.name, "version": model.version})

    @routes.get("/health/live")
    def live() -> Response:
        """Tell that the process runs."""
        return _json({"status": "alive"})

    @routes.get("/models")
    def list_models() -> Response:
        """Tell what is on disk, in memory, and refused."""
        loaded = {(model.name, model.version) for model in models.loaded}
        return _json(
            {
                "models": [
                    {
                        "name": name,
                        "current": getattr(models.current.get(name), "version", None),
                        "versions": [
                            _describe(name, version, loaded, models) for version in versions
                        ],
                    }
                    for name, versions in models.available.items()
                ]
            }
        )

    @routes.get("/metrics")
    def scrape() -> Response:
        """Give the figures of all workers, in a form of Prometheus's."""
        metrics.flush()
        text, content_type = metrics.scrape(request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)

    return routes


def _describe(
    name: str, version: int, loaded: set[tuple[str, int]], models: Models
) -> dict[str, Any]:
    refusal = models.refused.get((name, version))
    state = "loaded" if (name, version) in loaded else "refused" if refusal else "available"
    return {"version": version, "state": state} | ({"reason": refusal.reason} if refusal else {})


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), mimetype="application/json")
