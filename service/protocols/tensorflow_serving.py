"""TensorFlow Serving's REST protocol and KServe's v1, which share their paths."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from flask import Blueprint, Response
from simdjson import Object as JsonObject

from nncore.types import Array
from service.errors import RequestError
from service.inference import Inference
from service.inputs.json_document import quoted
from service.inputs.pixels import PixelReader
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry
from service.protocols import foreign
from service.protocols.foreign import FORMS, INPUT, PROBABILITIES, respond

_RESPONSE_MEMBERS = {"instances": "predictions", "inputs": "outputs"}
_SIGNATURE = "serving_default"


def create_tensorflow_serving_routes(inference: Inference) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("v1", __name__)
    routes.record(foreign.add_converters)
    registry = inference.registry

    @routes.get("/v1/models")
    def list_models() -> Response:
        return respond({"models": list(registry.available)})

    @routes.get("/v1/models/<model:name>")
    @routes.get("/v1/models/<model:name>/versions/<version:version>")
    def status(name: str, version: int | None = None) -> Response:
        return respond(_status(registry, name, version))

    @routes.get("/v1/models/<model:name>/metadata")
    @routes.get("/v1/models/<model:name>/versions/<version:version>/metadata")
    def metadata(name: str, version: int | None = None) -> Response:
        return respond(_metadata(registry.get(name, version)))

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
            document = {_RESPONSE_MEMBERS[form]: np.ascontiguousarray(probabilities)}
            return respond(document, model)

        return inference.answer(model, decode, encode)

    return routes


@foreign.bad_request()
def decode_request(images: PixelReader, body: bytes) -> tuple[str, Array]:
    """Return the form, "instances" or "inputs", and the images of a JSON request.

    The images are float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: The body is not JSON, or not of such images (400).
    """

    def read(document: JsonObject, brackets: int) -> tuple[str, Array]:
        form, value = foreign.read_form(document, FORMS)
        signature = document.get("signature_name") or _SIGNATURE
        if signature != _SIGNATURE:
            raise RequestError(
                422, f'expected signature_name "{_SIGNATURE}", got {quoted(signature)}'
            )
        return form, foreign.read_images(images, form, value, brackets)

    return images.read_json(body, read)


def _status(registry: Registry, name: str, version: int | None) -> dict[str, Any]:
    """Return the state of a model's versions, the highest first, for TensorFlow and KServe.

    Raises:
        RequestError: There is no such model or version (404), or no model at all (503).
    """
    loaded = {model.version for model in registry.loaded if model.name == name}
    versions = sorted(loaded.union(registry.available.get(name, ())), reverse=True)
    if version is not None:
        versions = [number for number in versions if number == version]
    if not versions:
        versions = [registry.get(name, version).version]  # which raises, but for a new version
    refused = {
        number: refusal.reason
        for (model, number), refusal in registry.refused.items()
        if model == name and number not in loaded
    }
    return {
        "model_version_status": [
            {
                "version": str(number),
                "state": "END" if number in refused else "AVAILABLE",
                "status": {
                    "error_code": "DATA_LOSS" if number in refused else "OK",
                    "error_message": refused.get(number, ""),
                },
            }
            for number in versions
        ],
        "name": name,
        "ready": name in registry.current if version is None else version not in refused,
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
