"""The document as a whole."""

from collections.abc import Callable
from typing import NamedTuple

from service.openapi.errors import REQUEST_ID, Form, error_responses, error_schemas
from service.openapi.gates import (
    SECURITY_SCHEMES,
    WWW_AUTHENTICATE,
    behind_gates,
    gate_paragraphs,
    gate_statuses,
)
from service.openapi.images import image_schemas
from service.openapi.mlflow import mlflow_paths
from service.openapi.open_inference import open_inference_paths
from service.openapi.parts import TEXT, Json
from service.openapi.predict import predict_paths
from service.openapi.service_routes import service_paths
from service.openapi.subject import Subject
from service.openapi.v1 import v1_paths
from service.version import VERSION


class _Section(NamedTuple):
    """Paths that belong together, and have one form of errors."""

    name: str
    description: str
    paths: Callable[[Subject], Json]
    form: Form


_SECTIONS = (
    _Section(
        "Predict",
        "The service's own protocol: images in, labels and probabilities out.",
        predict_paths,
        "Problem",
    ),
    _Section(
        "Open Inference Protocol",
        "What KServe, Triton and MLServer speak, version 2, for their clients as they are.",
        open_inference_paths,
        "Error",
    ),
    _Section(
        "TensorFlow Serving, KServe v1",
        "TensorFlow Serving's REST protocol and KServe's first, which share their paths.",
        v1_paths,
        "Error",
    ),
    _Section(
        "MLflow, SageMaker",
        "MLflow's scoring protocol, which is also what SageMaker asks of a container.",
        mlflow_paths,
        "Error",
    ),
    _Section(
        "Service",
        "What the service tells of itself: whether it is well, what it serves, what it has done.",
        service_paths,
        "Problem",
    ),
)
_DESCRIPTION = """\
A neural network in numpy, served. The same models answer in several protocols, side by side: the \
service's own, and those that the clients of other servers speak.

Shapes, labels and examples are those of the model that answers by default; another model's are \
found in its metadata.

Every answer carries `X-Request-ID`: the client's own where it sends one, else a new one, which \
the log repeats. Whatever goes wrong is said in one sentence: as `application/problem+json` on the \
service's own paths, as `{"error": …}` on those of other servers. Beside what each route \
documents, a path that is none is answered with 404, a method that a path does not have with 405 \
and `Allow`, and a fault of the service itself with 500."""
_REQUEST_HEADERS: Json = {
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "A name for the request, of up to 128 visible ASCII characters; any other "
        "is replaced by a new one.",
        "schema": {"type": "string"},
        "example": REQUEST_ID,
    },
    "traceparent": {
        "name": "traceparent",
        "in": "header",
        "description": "A W3C trace context, which the log repeats.",
        "schema": {"type": "string"},
        "example": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    },
}
_RESPONSE_HEADERS: Json = {
    "X-Request-ID": {
        "description": "The request's name in the log.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
    },
    "X-Model-Version": {
        "description": "The model and the version that answered, such as `mnist/1`.",
        "required": True,
        "schema": TEXT,
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 1},
    },
}


def describe(subject: Subject) -> Json:
    """Write the document.

    Args:
        subject: The model, limits and example that it tells of.
    """
    headers = [{"$ref": f"#/components/parameters/{name}"} for name in _REQUEST_HEADERS]
    paths: Json = {}
    for section in _SECTIONS:
        for path, operations in section.paths(subject).items():
            paths[path] = {"parameters": headers} | {
                method: {"tags": [section.name]}
                | behind_gates(subject, path, section.form, operation)
                for method, operation in operations.items()
            }
    description = _DESCRIPTION + gate_paragraphs(subject)
    with_keys: Json = {"securitySchemes": SECURITY_SCHEMES} if subject.keyed else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Nodestack", "version": VERSION, "description": description},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": section.name, "description": section.description} for section in _SECTIONS
        ],
        "paths": paths,
        "components": {
            "schemas": image_schemas(subject) | error_schemas(),
            "headers": _RESPONSE_HEADERS | (WWW_AUTHENTICATE if subject.keyed else {}),
            "parameters": _REQUEST_HEADERS,
            "responses": error_responses(gate_statuses(subject)),
        }
        | with_keys,
    }
