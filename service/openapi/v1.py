"""The operations of `service.protocols.v1`: TensorFlow Serving's REST protocol and KServe's v1."""

from typing import Any

from service.openapi.errors import errors
from service.openapi.images import PROBABILITY, array, array_of, instance_forms
from service.openapi.parts import (
    MODEL_VERSION_HEADER,
    TEXT,
    Json,
    answers,
    closed,
    content_of,
    of_model,
    operation,
)
from service.openapi.subject import Subject

_PREDICT = """\
Images are the network's own values, pixels / 255, each flat or nested as its shape. They come \
either in rows, `instances`, perhaps each in an object with the input's name, `images`, or in \
columns, `inputs`, perhaps in such an object: never both.

The answer to `instances` is `predictions`, that to `inputs` is `outputs`; each is the \
probabilities of every image. The `Content-Type` means nothing."""

_SUMMARIES = {"instances": "In rows.", "inputs": "In columns."}


def v1_paths(subject: Subject) -> Json:
    """Describe the paths."""
    paths: Json = {"/v1/models": {"get": _models(subject)}}
    for versioned in (False, True):
        path = "/v1/models/{name}" + "/versions/{version}" * versioned
        paths |= {
            path: {"get": _status(subject, versioned)},
            f"{path}/metadata": {"get": _metadata(subject, versioned)},
            f"{path}:predict": {"post": _predict(subject, versioned)},
        }
    return paths


def _models(subject: Subject) -> Json:
    return operation(
        "listV1Models",
        "Names of models",
        "The models on disk.",
        answers("The names.", closed({"models": array_of(TEXT)}), {"models": [subject.model]}),
    )


def _status(subject: Subject, versioned: bool) -> Json:
    status = closed({"error_code": {"enum": ["OK", "DATA_LOSS"]}, "error_message": TEXT})
    version = closed({"version": TEXT, "state": {"enum": ["AVAILABLE", "END"]}, "status": status})
    schema = closed(
        {
            "model_version_status": array_of(version) | {"minItems": 1},
            "name": TEXT,
            "ready": {"type": "boolean"},
        }
    )
    example = {
        "model_version_status": [
            {
                "version": str(subject.version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ],
        "name": subject.model,
        "ready": True,
    }
    return of_model(
        subject,
        versioned,
        "getV1Status",
        "Model status",
        "The versions, newest first, as TensorFlow Serving's clients read them; `ready` and "
        "`name` are for KServe's.",
        answers("The versions.", schema, example) | errors("Error", 404, 503),
    )


def _metadata(subject: Subject, versioned: bool) -> Json:
    dimension = closed({"size": TEXT, "name": TEXT})
    tensor = closed(
        {
            "dtype": {"const": "DT_FLOAT"},
            "tensor_shape": closed({"dim": array_of(dimension), "unknown_rank": {"const": False}}),
            "name": TEXT,
        }
    )
    signature = closed(
        {
            "inputs": closed({"images": tensor}),
            "outputs": closed({"probabilities": tensor}),
            "method_name": TEXT,
        }
    )
    definition = closed({"signature_def": closed({"serving_default": signature})})
    schema = closed(
        {
            "model_spec": closed({"name": TEXT, "signature_name": TEXT, "version": TEXT}),
            "metadata": closed({"signature_def": definition}),
        }
    )
    example_signature = {
        "inputs": {"images": _tensor("images", subject.input_shape)},
        "outputs": {"probabilities": _tensor("probabilities", (len(subject.labels),))},
        "method_name": "tensorflow/serving/predict",
    }
    example = {
        "model_spec": {
            "name": subject.model,
            "signature_name": "",
            "version": str(subject.version),
        },
        "metadata": {"signature_def": {"signature_def": {"serving_default": example_signature}}},
    }
    return of_model(
        subject,
        versioned,
        "getV1Metadata",
        "Model metadata",
        "What goes in and what comes out, as TensorFlow Serving describes it.",
        answers("The signature.", schema, example) | errors("Error", 404, 503),
    )


def _predict(subject: Subject, versioned: bool) -> Json:
    rows = array(array(PROBABILITY, len(subject.labels)), 1, subject.max_batch)
    schema = {"anyOf": [closed({"predictions": rows}), closed({"outputs": rows})]}
    signature = {"signature_name": {"enum": ["", "serving_default"]}}
    request = instance_forms(subject, signature, ("instances", "inputs"))
    examples = {
        "instances": {"instances": [subject.values]},
        "inputs": {"inputs": {"images": [subject.values]}},
    }
    responses = answers(
        "The probabilities of each image.",
        schema,
        {"predictions": [subject.probabilities]},
        MODEL_VERSION_HEADER,
    )
    return of_model(
        subject,
        versioned,
        "predictV1",
        "Predict",
        _PREDICT,
        responses | errors("Error", 400, 404, 413, 503),
        body={"application/json": content_of({"anyOf": request}, examples, _SUMMARIES)},
    )


def _tensor(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in (-1, *shape)]
    return {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": f"{name}:0",
    }
