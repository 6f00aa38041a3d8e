"""The Open Inference Protocol, version 2, as KServe, Triton and MLServer speak it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from flask import Blueprint, Response, request
from simdjson import Object as JsonObject

from nncore.types import Array
from service.bodies import read_body
from service.core import Core
from service.errors import RequestError
from service.json_body import quoted, read_json
from service.models import Models
from service.protocols.content_encoding import check_content_encoding, decompress
from service.protocols.open_inference_answers import encode_answer
from service.protocols.open_inference_requests import (
    LABEL,
    PROBABILITIES,
    InferRequest,
    read_json_size,
    read_request,
)
from service.protocols.open_inference_tensors import INPUT, image_shapes
from service.serving import ServedModel
from service.version import VERSION

_SERVER = {
    "name": "nodestack",
    "version": VERSION,
    "extensions": ["binary_tensor_data", "classification", "model_configuration"],
}
_PLATFORM = "nodestack_safetensors"
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def create_open_inference_routes(core: Core) -> Blueprint:
    """Make the routes."""
    routes = Blueprint("open-inference", __name__)
    models = core.models

    @routes.get("/v2")
    @routes.get("/v2/")
    def server_metadata() -> Response:
        """Tell what this server is."""
        return _json(_SERVER)

    @routes.get("/v2/health/live")
    def server_live() -> Response:
        """Tell that the process runs."""
        ready = models.default_name in models.current
        return _json({"live": True, "ready": ready})

    @routes.get("/v2/health/ready")
    def server_ready() -> Response:
        """Tell whether the worker that answers has a model."""
        models.get()
        return _json({"live": True, "ready": True})

    @routes.get("/v2/models")
    def list_models() -> Response:
        """Name the models on disk."""
        return _json({"models": list(models.available)})

    @routes.post("/v2/repository/index")
    def repository_index() -> Response:
        """Tell of every version on disk what state it is in."""
        body = read_body()
        with _bad_request():
            only_ready = bool(body) and read_json(body, _read_only_ready)
        return _json(_index(models, only_ready))

    @routes.get("/v2/models/<name>")
    @routes.get("/v2/models/<name>/versions/<version>")
    def model_metadata(name: str, version: str | None = None) -> Response:
        """Tell of a model's tensors."""
        model = _find(models, name, version)
        return _json(_describe(model, [*map(str, models.available.get(name, {}))]))

    @routes.get("/v2/models/<name>/config")
    @routes.get("/v2/models/<name>/versions/<version>/config")
    def model_config(name: str, version: str | None = None) -> Response:
        """Tell of a model's tensors as Triton's configuration files do."""
        return _json(_configuration(_find(models, name, version)))

    @routes.get("/v2/models/<name>/ready")
    @routes.get("/v2/models/<name>/versions/<version>/ready")
    def model_ready(name: str, version: str | None = None) -> Response:
        """Tell whether a model can answer."""
        model = _find(models, name, version)
        return _json({"name": model.name, "ready": True})

    @routes.post("/v2/models/<name>/infer")
    @routes.post("/v2/models/<name>/versions/<version>/infer")
    def infer(name: str, version: str | None = None) -> Response:
        """Classify the images of a request."""
        call = _Call(_find(models, name, version))
        return core.answer(call.model, call.decode, call.encode)

    return routes


class _Call:
    """The current request on its way through the core."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self._json_size = read_json_size(request.headers.get("Inference-Header-Content-Length"))
        self._compressed = check_content_encoding(request.headers.get("Content-Encoding", ""))
        self._request: InferRequest

    def decode(self, body: bytes) -> Array:
        if self._compressed:
            body = decompress(body, request.max_content_length or 0)
        with _bad_request():
            self._request = read_request(self.model, self._json_size, body)
        return self._request.images

    def encode(self, probabilities: Array) -> Response:
        return encode_answer(self.model, self._request, probabilities)


@contextmanager
def _bad_request() -> Iterator[None]:
    """Make a 400, as the clients of this protocol expect, of whatever is wrong with a request."""
    try:
        yield
    except RequestError as error:
        raise RequestError(400, error.detail) from None


def _find(models: Models, name: str, version: str | None) -> ServedModel:
    """Find a model by the names of a path.

    Raises:
        RequestError: There is none (404), or it cannot answer (503).
    """
    if version is not None and not _VERSION.fullmatch(version):
        raise RequestError(
            404, f"expected a version, which is a number from 1, of {name:.100}, got {version:.100}"
        )
    return models.get(name, None if version is None else int(version))


def _describe(model: ServedModel, versions: list[str]) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": versions,
        "platform": _PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, *image_shapes(model)[0]]}],
        "outputs": [
            {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, len(model.labels)]},
            {"name": LABEL, "datatype": "INT64", "shape": [-1]},
        ],
    }


def _configuration(model: ServedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "platform": _PLATFORM,
        "max_batch_size": model.images.max_batch,
        "input": [{"name": INPUT, "data_type": "TYPE_FP32", "dims": image_shapes(model)[0]}],
        "output": [
            {"name": PROBABILITIES, "data_type": "TYPE_FP32", "dims": [len(model.labels)]},
            {"name": LABEL, "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}},
        ],
    }


def _index(models: Models, only_ready: bool) -> list[dict[str, str]]:
    loaded = {(model.name, model.version) for model in models.loaded}
    index = []
    for name, versions in models.available.items():
        for version in versions:
            entry = {"name": name, "version": str(version), "state": "READY"}
            if (name, version) not in loaded:
                refusal = models.refused.get((name, version))
                reason = refusal.reason if refusal else "loaded when a request asks for it"
                entry |= {"state": "UNAVAILABLE", "reason": reason}
            if entry["state"] == "READY" or not only_ready:
                index.append(entry)
    return index


def _read_only_ready(document: JsonObject) -> bool:
    ready = document.get("ready")
    if not isinstance(ready, bool | None):
        raise RequestError(400, f"expected ready to be true or false, got {quoted(ready)}")
    return bool(ready)


def _json(answer: Any) -> Response:
    return Response(orjson.dumps(answer), mimetype="application/json")
