"""The operations of `service.protocols.open_inference`: the Open Inference Protocol, version 2."""

from service.openapi.errors import errors
from service.openapi.images import array, array_of
from service.openapi.open_inference_infer import infer
from service.openapi.parts import (
    TEXT,
    Json,
    answers,
    closed,
    content_of,
    of_model,
    operation,
)
from service.openapi.subject import Subject
from service.version import VERSION


def open_inference_paths(subject: Subject) -> Json:
    """Describe the paths."""
    paths: Json = {
        "/v2": {"get": _server("getServer", "Server metadata")},
        "/v2/": {"get": _server("getServerWithSlash", "Server metadata, with a slash")},
        "/v2/health/live": {"get": _live()},
        "/v2/health/ready": {"get": _ready()},
        "/v2/models": {"get": _models(subject)},
        "/v2/repository/index": {"post": _index(subject)},
    }
    for versioned in (False, True):
        path = "/v2/models/{name}" + "/versions/{version}" * versioned
        paths |= {
            path: {"get": _metadata(subject, versioned)},
            f"{path}/config": {"get": _config(subject, versioned)},
            f"{path}/ready": {"get": _model_ready(subject, versioned)},
            f"{path}/infer": {"post": infer(subject, versioned)},
        }
    return paths


def _server(name: str, summary: str) -> Json:
    metadata = {
        "name": "nodestack",
        "version": VERSION,
        "extensions": ["binary_tensor_data", "classification", "model_configuration"],
    }
    schema = closed({"name": TEXT, "version": TEXT, "extensions": array_of(TEXT)})
    return operation(
        name,
        summary,
        "What this server is, and which extensions of the protocol it knows.",
        answers("The server.", schema, metadata),
    )


def _live() -> Json:
    return operation(
        "getServerLive",
        "Server liveness",
        "Answers 200 as long as the process runs; `ready` tells whether there is a model.",
        answers("The process runs.", _health({"type": "boolean"}), {"live": True, "ready": True}),
    )


def _ready() -> Json:
    ready = answers("It is ready.", _health({"const": True}), {"live": True, "ready": True})
    return operation(
        "getServerReady",
        "Server readiness",
        "Answers 200 when the worker that answers has a model, else 503 with the reason.",
        ready | errors("Error", 503),
    )


def _models(subject: Subject) -> Json:
    return operation(
        "listServerModels",
        "Names of models",
        "The models on disk.",
        answers("The names.", closed({"models": array_of(TEXT)}), {"models": [subject.model]}),
    )


def _index(subject: Subject) -> Json:
    entry = closed(
        {
            "name": TEXT,
            "version": TEXT,
            "state": {"enum": ["READY", "UNAVAILABLE"]},
            "reason": TEXT,
        },
        optional=["reason"],
    )
    example = {"name": subject.model, "version": str(subject.version), "state": "READY"}
    schema = {"type": "object", "properties": {"ready": {"type": ["boolean", "null"]}}}
    return operation(
        "getRepositoryIndex",
        "Repository index",
        "Every version on disk and its state; with `ready`, only those that are in memory.",
        answers("The versions.", array_of(entry), [example]) | errors("Error", 400, 413),
        body={"application/json": content_of(schema, {"ready": {"ready": True}})},
        body_required=False,
    )


def _metadata(subject: Subject, versioned: bool) -> Json:
    tensor = closed(
        {"name": TEXT, "datatype": TEXT, "shape": array_of({"type": "integer", "minimum": -1})}
    )
    schema = closed(
        {
            "name": TEXT,
            "versions": array_of(TEXT),
            "platform": TEXT,
            "inputs": array(tensor, 1),
            "outputs": array(tensor, 2),
        }
    )
    example = {
        "name": subject.model,
        "versions": [str(subject.version)],
        "platform": "nodestack_safetensors",
        "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, *subject.input_shape]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(subject.labels)]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
        ],
    }
    return of_model(
        subject,
        versioned,
        "getModelMetadata",
        "Model metadata",
        "The model's versions and its tensors.",
        answers("The model.", schema, example) | errors("Error", 404, 503),
    )


def _config(subject: Subject, versioned: bool) -> Json:
    tensor = closed(
        {
            "name": TEXT,
            "data_type": TEXT,
            "dims": array_of({"type": "integer", "minimum": 1}),
            "reshape": closed({"shape": array_of({"type": "integer"})}),
        },
        optional=["reshape"],
    )
    schema = closed(
        {
            "name": TEXT,
            "platform": TEXT,
            "max_batch_size": {"type": "integer", "minimum": 1},
            "input": array(tensor, 1),
            "output": array(tensor, 2),
        }
    )
    classes = [len(subject.labels)]
    example = {
        "name": subject.model,
        "platform": "nodestack_safetensors",
        "max_batch_size": subject.max_batch,
        "input": [{"name": "images", "data_type": "TYPE_FP32", "dims": [*subject.input_shape]}],
        "output": [
            {"name": "probabilities", "data_type": "TYPE_FP32", "dims": classes},
            {"name": "label", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}},
        ],
    }
    return of_model(
        subject,
        versioned,
        "getModelConfig",
        "Model configuration",
        "The model's tensors as Triton's configuration files describe them.",
        answers("The model.", schema, example) | errors("Error", 404, 503),
    )


def _model_ready(subject: Subject, versioned: bool) -> Json:
    ready = answers(
        "It can answer.",
        closed({"name": TEXT, "ready": {"const": True}}),
        {"name": subject.model, "ready": True},
    )
    return of_model(
        subject,
        versioned,
        "getModelReady",
        "Model readiness",
        "Answers 200 when the model can answer; a version that is not in memory is loaded.",
        ready | errors("Error", 404, 503),
    )


def _health(ready: Json) -> Json:
    return closed({"live": {"const": True}, "ready": ready})
