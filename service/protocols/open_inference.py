"""The routes of the Open Inference Protocol, version 2, of KServe, Triton and MLServer."""

from typing import Any

import orjson
from flask import Blueprint, Response, request

from nncore.types import Array
from service.errors import invalid
from service.inference import Inference, read_body
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry
from service.protocols import open_inference_codec as codec
from service.protocols.foreign import INPUT, PROBABILITIES, add_converters
from service.version import VERSION

_SERVER = {
    "name": "nodestack",
    "version": VERSION,
    "extensions": ["binary_tensor_data", "classification", "model_configuration"],
}
_MAX_INDEX_BYTES = 1000
_PLATFORM = "nodestack_safetensors"


def create_open_inference_routes(inference: Inference) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("open-inference", __name__)
    routes.record(add_converters)
    registry = inference.registry

    @routes.get("/v2")
    @routes.get("/v2/")
    def server_metadata() -> dict[str, Any]:
        return _SERVER

    @routes.get("/v2/health/live")
    def server_live() -> dict[str, Any]:
        return {"live": True, "ready": registry.default_name in registry.current}

    @routes.get("/v2/health/ready")
    def server_ready() -> dict[str, Any]:
        registry.get()
        return {"live": True, "ready": True}

    @routes.get("/v2/models")
    def list_models() -> dict[str, Any]:
        return {"models": registry.names}

    @routes.post("/v2/repository/index")
    def repository_index() -> list[dict[str, str]]:
        only_ready = _read_only_ready(read_body())
        return [entry for entry in _index(registry) if not only_ready or entry["state"] == "READY"]

    @routes.get("/v2/models/<name>")
    @routes.get("/v2/models/<name>/versions/<version:version>")
    def model_metadata(name: str, version: int | None = None) -> dict[str, Any]:
        return _metadata(registry.get(name, version), list(map(str, registry.versions(name))))

    @routes.get("/v2/models/<name>/config")
    @routes.get("/v2/models/<name>/versions/<version:version>/config")
    def model_config(name: str, version: int | None = None) -> dict[str, Any]:
        return _configuration(registry.get(name, version))

    @routes.get("/v2/models/<name>/ready")
    @routes.get("/v2/models/<name>/versions/<version:version>/ready")
    def model_ready(name: str, version: int | None = None) -> dict[str, Any]:
        return {"name": registry.get(name, version).name, "ready": True}

    @routes.post("/v2/models/<name>/infer")
    @routes.post("/v2/models/<name>/versions/<version:version>/infer")
    def infer(name: str, version: int | None = None) -> Response:
        model = registry.get(name, version)
        json_size = request.headers.get(codec.JSON_SIZE_HEADER)
        infer_request: codec.InferRequest

        def decode(body: bytes) -> Array:
            nonlocal infer_request
            infer_request = codec.read_request(model, json_size, body)
            return infer_request.images

        def encode(probabilities: Array) -> Response:
            return codec.encode_response(model, infer_request, probabilities)

        return inference.answer(model, decode, encode)

    return routes


def _metadata(model: LoadedModel, versions: list[str]) -> dict[str, Any]:
    shape = [-1, *model.manifest.input_shape]
    return {
        "name": model.name,
        "versions": versions,
        "platform": _PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "FP32", "shape": shape}],
        "outputs": [
            {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, len(model.labels)]},
            {"name": codec.LABEL, "datatype": "INT64", "shape": [-1]},
        ],
    }


def _configuration(model: LoadedModel) -> dict[str, Any]:
    """Describe a model as Triton's configuration files do."""
    shape = list(model.manifest.input_shape)
    return {
        "name": model.name,
        "platform": _PLATFORM,
        "max_batch_size": model.images.max_batch,
        "input": [{"name": INPUT, "data_type": "TYPE_FP32", "dims": shape}],
        "output": [
            {"name": PROBABILITIES, "data_type": "TYPE_FP32", "dims": [len(model.labels)]},
            {"name": codec.LABEL, "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}},
        ],
    }


def _index(registry: Registry) -> list[dict[str, str]]:
    index = []
    for name in registry.names:
        for version, (state, reason) in registry.versions(name).items():
            entry = {"name": name, "version": str(version), "state": "READY"}
            if state != "loaded":
                reason = reason or "loaded when a request names it"
                entry |= {"state": "UNAVAILABLE", "reason": reason}
            index.append(entry)
    return index


def _read_only_ready(body: bytes) -> bool:
    """Return the member `ready` of the request; false where there is none or no body."""
    try:
        document = orjson.loads(body[:_MAX_INDEX_BYTES] or b"{}")
    except orjson.JSONDecodeError:
        document = None
    ready = document.get("ready") if isinstance(document, dict) else "no object"
    if not isinstance(ready, bool | None):
        raise invalid('a JSON object in which "ready" is true, false or absent', f"{body[:50]!r}")
    return bool(ready)
