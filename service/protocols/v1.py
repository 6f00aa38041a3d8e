"""TensorFlow Serving's REST protocol and KServe's v1, which share their paths."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from flask import Blueprint, Response
from flask.blueprints import BlueprintSetupState
from simdjson import Object as JsonObject
from werkzeug.routing import BaseConverter

from nncore.types import Array
from service.core import Core
from service.errors import RequestError
from service.json_body import quoted
from service.models import Models
from service.protocols.instances import FORMS, INPUT, choose_form, read_document, read_images
from service.serving import ServedModel

OUTPUT = "probabilities"
SIGNATURE = "serving_default"

_ANSWERS = {"instances": "predictions", "inputs": "outputs"}
_SIGNATURE_NAMES = ("", SIGNATURE)


class _ModelName(BaseConverter):
    """What stands before `:predict`."""

    regex = "[^/:]+"


class _Version(BaseConverter):
    """A number that is none of Python's slow ones, and has no digits but ASCII's."""

    regex = "[0-9]{1,9}"

    def to_python(self, value: str) -> int:
        return int(value)


def create_v1_routes(core: Core) -> Blueprint:
    """Make the routes."""
    routes = Blueprint("v1", __name__)
    routes.record(_add_converters)

    @routes.get("/v1/models")
    def list_models() -> Response:
        """List the models by name."""
        return _json({"models": list(core.models.available)})

    @routes.get("/v1/models/<v1_model:name>")
    @routes.get("/v1/models/<v1_model:name>/versions/<v1_version:version>")
    def status(name: str, version: int | None = None) -> Response:
        """Tell what can be asked of a model: for TensorFlow's clients and for KServe's."""
        return _json(_status(core.models, name, version))

    @routes.get("/v1/models/<v1_model:name>/metadata")
    @routes.get("/v1/models/<v1_model:name>/versions/<v1_version:version>/metadata")
    def metadata(name: str, version: int | None = None) -> Response:
        """Describe what goes in and what comes out."""
        return _json(_metadata(core.models.get(name, version)))

    @routes.post("/v1/models/<v1_model:name>:predict")
    @routes.post("/v1/models/<v1_model:name>/versions/<v1_version:version>:predict")
    def predict(name: str, version: int | None = None) -> Response:
        """Classify the images of a request, whatever its Content-Type says."""
        model = core.models.get(name, version)
        exchange = _Exchange(model)
        answer = core.answer(model, exchange.decode, exchange.encode)
        # The body's members are those of the protocol; none of them is for the version.
        headers = {"X-Model-Version": f"{model.name}/{model.version}"}
        return Response(answer, headers=headers, mimetype="application/json")

    return routes


class _Exchange:
    """A request and its answer, whose form is the request's.

    Args:
        model: Answers.
    """

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._form = FORMS[0]

    def decode(self, body: bytes) -> Array:
        """Read `{"instances": [...]}` or `{"inputs": ...}`, and perhaps `signature_name`.

        Returns:
            The network's own input, float32 `(batch, pixels)` in [0, 1].

        Raises:
            RequestError: The body is no JSON, or not of such images (400).
        """

        def read(document: JsonObject) -> Array:
            self._form = choose_form(document, FORMS)
            signature = document.get("signature_name", SIGNATURE)
            if not isinstance(signature, str) or signature not in _SIGNATURE_NAMES:
                raise RequestError(
                    400, f'expected signature_name "{SIGNATURE}", got {quoted(signature)}'
                )
            return read_images(self._model.images, document, self._form, body.count(b"["))

        return read_document(body, read)

    def encode(self, probabilities: Array) -> bytes:
        """Write the probabilities, float32 `(batch, classes)`."""
        answer = {_ANSWERS[self._form]: np.ascontiguousarray(probabilities)}
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _add_converters(state: BlueprintSetupState) -> None:
    state.app.url_map.converters |= {"v1_model": _ModelName, "v1_version": _Version}


def _status(models: Models, name: str, version: int | None) -> dict[str, Any]:
    """Describe the versions of a model, newest first: TensorFlow's form, and KServe's `ready`.

    Raises:
        RequestError: There is no such model or version (404), or no model at all (503).
    """
    loaded = {model.version for model in models.loaded if model.name == name}
    versions = loaded.union(models.available.get(name, {}))
    if not versions or version not in {None, *versions}:
        # It says why there is none, unless one has appeared only now.
        versions.add(models.get(name, version).version)
    listed = sorted(versions, reverse=True) if version is None else [version]
    refused = {
        number: models.refused[name, number].reason
        for number in listed
        if number not in loaded and (name, number) in models.refused
    }
    ready = name in models.current if version is None else version not in refused
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
            for number in listed
        ],
        "name": name,
        "ready": ready,
    }


def _metadata(model: ServedModel) -> dict[str, Any]:
    manifest = model.manifest
    signature = {
        "inputs": {INPUT: _tensor(INPUT, manifest.input_shape)},
        "outputs": {OUTPUT: _tensor(OUTPUT, (len(manifest.labels),))},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _tensor(name: str, shape: Sequence[int]) -> dict[str, Any]:
    sizes = [-1, *shape]
    return {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in sizes],
            "unknown_rank": False,
        },
        "name": f"{name}:0",
    }


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), mimetype="application/json")
