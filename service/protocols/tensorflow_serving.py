"""TensorFlow Serving's REST protocol and KServe's v1, which share their paths."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response
from simdjson import Object as JsonObject

from nncore.types import Array
from service.errors import invalid
from service.inference import Inference, json_response
from service.inputs.json_document import quoted
from service.inputs.pixels import PixelReader
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry
from service.protocols import foreign
from service.protocols.foreign import FORMS, INPUT, PROBABILITIES

_RESPONSE_MEMBERS = {"instances": "predictions", "inputs": "outputs"}
_SIGNATURE = "serving_default"


def create_tensorflow_serving_routes(inference: Inference) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("v1", __name__)
    routes.record(foreign.add_converters)
    registry = inference.registry

    @routes.get("/v1/models")
    def list_models() -> dict[str, Any]:
        return {"models": registry.names}

    @routes.get("/v1/models/<model:name>")
    @routes.get("/v1/models/<model:name>/versions/<version:version>")
    def status(name: str, version: int | None = None) -> dict[str, Any]:
        return _status(registry, name, version)

    @routes.get("/v1/models/<model:name>/metadata")
    @routes.get("/v1/models/<model:name>/versions/<version:version>/metadata")
    def metadata(name: str, version: int | None = None) -> dict[str, Any]:
        return _metadata(registry.get(name, version))

    @routes.post("/v1/models/<model:name>:predict")
    @routes.post("/v1/models/<model:name>/versions/<version:version>:predict")
    def predict(name: str, version: int | None = None) -> Response:
        model = registry.get(name, version)
        form = ""

        def decode(body: bytes) -> Array:
            nonlocal form
            form, images = decode_request(model.images, body)
            return images

        def encode(probabilities: Array) -> Response:
            return json_response({_RESPONSE_MEMBERS[form]: probabilities}, model)

        return inference.answer(model, decode, encode)

    return routes


def decode_request(images: PixelReader, body: bytes) -> tuple[str, Array]:
    """Return the form, "instances" or "inputs", and the images of a JSON request.

    The images are float32 `(batch, pixels)` in [0, 1].
    """

    def read(document: JsonObject, brackets: int) -> tuple[str, Array]:
        form, value = foreign.read_form(document, FORMS)
        signature = document.get("signature_name") or _SIGNATURE
        if signature != _SIGNATURE:
            raise invalid(f'signature_name "{_SIGNATURE}"', quoted(signature))
        return form, foreign.read_images(images, form, value, brackets)

    return images.read_json(body, read)


def _status(registry: Registry, name: str, version: int | None) -> dict[str, Any]:
    """Return the state of a model's versions, the highest first, for TensorFlow and KServe.

    Raises:
        RequestError: There is no such model or version (404), or no model at all (503).
    """
    versions = registry.versions(name)
    if version is not None:
        versions = {number: state for number, state in versions.items() if number == version}
    if not versions:
        registry.get(name, version)  # which raises
    reasons = {
        number: reason if state == "refused" else ""
        for number, (state, reason) in sorted(versions.items(), reverse=True)
    }
    return {
        "model_version_status": [
            {
                "version": str(number),
                "state": "END" if reason else "AVAILABLE",
                "status": {
                    "error_code": "DATA_LOSS" if reason else "OK",
                    "error_message": reason,
                },
            }
            for number, reason in reasons.items()
        ],
        "name": name,
        "ready": name in registry.current if version is None else not reasons.get(version),
    }


def _metadata(model: LoadedModel) -> dict[str, Any]:
    signature = {
        "inputs": {INPUT: _tensor(INPUT, model.manifest.input_shape)},
        "outputs": {PROBABILITIES: _tensor(PROBABILITIES, [len(model.labels)])},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": {_SIGNATURE: signature}}},
    }


def _tensor(name: str, shape: Sequence[int]) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in (-1, *shape)]
    return {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": f"{name}:0",
    }
