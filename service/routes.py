"""The doors: predictions and health."""

from typing import Any

import orjson
from flask import Blueprint, Response, request

from service.bodies import read_body
from service.errors import RequestError
from service.serving import NotReady, ServedModel

_RETRY_SECONDS = "5"


def create_routes(model: ServedModel | NotReady) -> Blueprint:
    """Make the routes that answer with a model, or with the reason why there is none."""
    routes = Blueprint("routes", __name__)

    def ready_model() -> ServedModel:
        if isinstance(model, NotReady):
            raise RequestError(503, model.reason, {"Retry-After": _RETRY_SECONDS})
        return model

    @routes.post("/predict")
    def predict() -> Response:
        """Classify the images of a request."""
        served = ready_model()
        if request.mimetype != "application/json":
            got = request.content_type
            raise RequestError(
                415,
                "expected Content-Type: application/json, "
                + (f"got {got[:100]}" if got else "got no Content-Type"),
            )
        return _json(served.answer(read_body()))

    @routes.get("/health")
    @routes.get("/health/ready")
    def ready() -> Response:
        """Tell whether the worker that answers has a model."""
        served = ready_model()
        return _json({"status": "ready", "model": served.name, "version": served.version})

    @routes.get("/health/live")
    def live() -> Response:
        """Tell that the process runs."""
        return _json({"status": "alive"})

    return routes


def _json(answer: bytes | dict[str, Any]) -> Response:
    content = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    return Response(content, mimetype="application/json")
