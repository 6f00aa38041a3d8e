"""The service's own routes: health, models, metrics."""

from typing import Any

from flask import Blueprint, Response, request

from service.models.registry import Registry
from service.observability.metrics import Metrics


def create_status_routes(registry: Registry, metrics: Metrics) -> Blueprint:
    """Return the routes that describe the service itself."""
    routes = Blueprint("service", __name__)

    @routes.get("/health")
    @routes.get("/health/ready")
    def ready() -> dict[str, Any]:
        """Return 200 if this worker has a model that is loaded, verified and warmed up."""
        model = registry.get()
        return {"status": "ready", "model": model.name, "version": model.version}

    @routes.get("/health/live")
    def live() -> dict[str, Any]:
        """Return 200 as long as the process runs."""
        return {"status": "alive"}

    @routes.get("/models")
    def list_models() -> dict[str, Any]:
        """List the versions on disk and the state of each."""
        return {"models": [_describe(registry, name) for name in registry.names]}

    @routes.get("/metrics")
    def expose() -> Response:
        """Return the metrics of all workers in a format of Prometheus."""
        text, content_type = metrics.expose(request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)

    return routes


def _describe(registry: Registry, name: str) -> dict[str, Any]:
    current = registry.current.get(name)
    return {
        "name": name,
        "current": current.version if current else None,
        "versions": [
            {"version": version, "state": state, **({"reason": reason} if reason else {})}
            for version, (state, reason) in registry.versions(name).items()
        ],
    }
