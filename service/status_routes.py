"""The service's own routes: health, models, metrics."""

from typing import Any

import orjson
from flask import Blueprint, Response, request

from service.models.registry import Registry
from service.observability.metrics import Metrics


def create_status_routes(registry: Registry, metrics: Metrics) -> Blueprint:
    """Return the routes that describe the service itself."""
    routes = Blueprint("service", __name__)

    @routes.get("/health")
    @routes.get("/health/ready")
    def ready() -> Response:
        """Answer whether this worker has a model that is loaded, verified and warmed up."""
        model = registry.get()
        return _json({"status": "ready", "model": model.name, "version": model.version})

    @routes.get("/health/live")
    def live() -> Response:
        """Answer that the process runs."""
        return _json({"status": "alive"})

    @routes.get("/models")
    def list_models() -> Response:
        """List the versions on disk and the state of each."""
        loaded = {(model.name, model.version) for model in registry.loaded}
        return _json(
            {
                "models": [
                    {
                        "name": name,
                        "current": getattr(registry.current.get(name), "version", None),
                        "versions": [
                            _describe(name, version, loaded, registry) for version in versions
                        ],
                    }
                    for name, versions in registry.available.items()
                ]
            }
        )

    @routes.get("/metrics")
    def expose() -> Response:
        """Return the metrics of all workers in a format of Prometheus."""
        text, content_type = metrics.expose(request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)

    return routes


def _describe(
    name: str, version: int, loaded: set[tuple[str, int]], registry: Registry
) -> dict[str, Any]:
    refusal = registry.refused.get((name, version))
    state = "loaded" if (name, version) in loaded else "refused" if refusal else "available"
    return {"version": version, "state": state} | ({"reason": refusal.reason} if refusal else {})


def _json(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), mimetype="application/json")
