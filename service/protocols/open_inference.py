"""The Open Inference Protocol, version 2, as KServe, Triton and MLServer speak it: its routes."""

from typing import Any

from flask import Blueprint, Response, request
from simdjson import Object as JsonObject

from nncore.types import Array
from service.errors import RequestError
from service.inference import Inference, read_body
from service.inputs.json_document import quoted, read_json
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry
from service.protocols import open_inference_codec as codec
from service.protocols.foreign import (
    INPUT,
    PROBABILITIES,
    add_converters,
    bad_request,
    respond,
)
from service.version import VERSION

_SERVER = {
    "name": "nodestack",
    "version": VERSION,
    "extensions": ["binary_tensor_data", "classification", "model_configuration"],
}
_PLATFORM = "nodestack_safetensors"


def create_open_inference_routes(inference: Inference) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("open-inference", __name__)
    routes.record(add_converters)
    registry = inference.registry

    @routes.get("/v2")
    @routes.get("/v2/")
    def server_metadata() -> Response:
        return respond(_SERVER)

    @routes.get("/v2/health/live")
    def server_live() -> Response:
        return respond({"live": True, "ready": registry.default_name in registry.current})

    @routes.get("/v2/health/ready")
    def server_ready() -> Response:
        registry.get()
        return respond({"live": True, "ready": True})

    @routes.get("/v2/models")
    def list_models() -> Response:
        return respond({"models": list(registry.available)})

    @routes.post("/v2/repository/index")
    def repository_index() -> Response:
        body = read_body()
        return respond(_index(registry, only_ready=bool(body) and _read_only_ready(body)))

    @routes.get("/v2/models/<name>")
    @routes.get("/v2/models/<name>/versions/<version:version>")
    def model_metadata(name: str, version: int | None = None) -> Response:
        model = registry.get(name, version)
        return respond(_metadata(model, list(map(str, registry.available.get(name, ())))))

    @routes.get("/v2/models/<name>/config")
    @routes.get("/v2/models/<name>/versions/<version:version>/config")
    def model_config(name: str, version: int | None = None) -> Response:
        return respond(_configuration(registry.get(name, version)))

    @routes.get("/v2/models/<name>/ready")
    @routes.get("/v2/models/<name>/versions/<version:version>/ready")
    def model_ready(name: str, version: int | None = None) -> Response:
        return respond({"name": registry.get(name, version).name, "ready": True})

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


def _index(registry: Registry, *, only_ready: bool) -> list[dict[str, str]]:
    loaded = {(model.name, model.version) for model in registry.loaded}
    index = []
    for name, versions in registry.available.items():
        for version in versions:
            entry = {"name": name, "version": str(version), "state": "READY"}
            if (name, version) not in loaded:
                refusal = registry.refused.get((name, version))
                reason = refusal.reason if refusal else "loaded when a request asks for it"
                entry |= {"state": "UNAVAILABLE", "reason": reason}
            if entry["state"] == "READY" or not only_ready:
                index.append(entry)
    return index


@bad_request()
def _read_only_ready(body: bytes) -> bool:
    def read(document: JsonObject, _: int) -> bool:
        ready = document.get("ready")
        if not isinstance(ready, bool | None):
            raise RequestError(422, f"expected ready to be true or false, got {quoted(ready)}")
        return bool(ready)

    too_large = 'expected an object with "ready", got a larger document'
    return read_json(body, read, max_structure=1000, too_large=too_large)
