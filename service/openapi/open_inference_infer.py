"""The inference operation of the Open Inference Protocol."""

from collections.abc import Sequence

import orjson

from nncore import MAX_PIXEL
from service.openapi.errors import errors
from service.openapi.images import array, array_of, nested
from service.openapi.parts import (
    BYTES,
    TEXT,
    Json,
    answers_with,
    closed,
    content_of,
    external,
    of_model,
)
from service.openapi.subject import Subject

HEADER_SIZE = "Inference-Header-Content-Length"
_DESCRIPTION = """\
The one input is `images`. Its data is flat or nested as its shape: the network's own values, \
pixels / 255, as FP32, FP64 or FP16, or pixels from 0 to 255 as UINT8. The outputs are \
`probabilities` (FP32) and `label` (INT64); `outputs` selects.

The binary tensor extension: a request with `Inference-Header-Content-Length` has so many bytes of \
JSON, `binary_data_size` instead of `data`, and the data after the JSON. `binary_data` of an \
output, or `binary_data_output` for all of them, asks for an answer of this form.

The classification extension: `classification` of `probabilities` asks for so many classes in \
words, likeliest first."""
_PARAMETERS: list[Json] = [
    {
        "name": HEADER_SIZE,
        "in": "header",
        "description": "How many bytes of the body are JSON; all of them without this header.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**19 - 1},
    },
    {
        "name": "Content-Encoding",
        "in": "header",
        "description": "How the body is compressed, if it is: `gzip` or `deflate`.",
        "schema": {"enum": ["gzip", "deflate", "identity", ""]},
    },
]
_SUMMARIES = {
    "image": "Pixels / 255, flat.",
    "classification": "Pixels from 0 to 255, nested; the likeliest classes in words.",
}
_FLAG: Json = {"type": ["boolean", "null"]}
_NOT_HERE: Json = {"type": "null"}


def infer(subject: Subject, versioned: bool) -> Json:
    """Describe the operation, with or without a version in its path."""
    tensor = closed(
        {
            "name": TEXT,
            "datatype": {"enum": ["FP32", "INT64", "BYTES"]},
            "shape": array({"type": "integer", "minimum": 1}, 1, 2),
            "data": array_of({"type": ["number", "string"]}),
        }
    )
    schema = closed(
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "id": TEXT,
            "outputs": array(tensor, 1, 2),
        },
        optional=["id"],
    )
    example = {
        "model_name": subject.model,
        "model_version": str(subject.version),
        "id": "42",
        "outputs": [
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [1, len(subject.labels)],
                "data": subject.probabilities,
            },
            {"name": "label", "datatype": "INT64", "shape": [1], "data": [subject.winner]},
        ],
    }
    size_header = {HEADER_SIZE: {"schema": {"type": "integer", "minimum": 2}}}
    responses = answers_with(
        "The outputs.",
        {
            "application/json": content_of(schema, {"answer": example}),
            "application/octet-stream": {},
        },
        size_header,
    )
    return of_model(
        subject,
        versioned,
        "infer",
        "Infer",
        _DESCRIPTION,
        responses | errors("Error", 400, 404, 413, 415, 503),
        parameters=_PARAMETERS,
        body={
            "application/json": content_of(_request(subject), _requests(subject), _SUMMARIES),
            "application/octet-stream": {
                "schema": BYTES,
                "examples": {
                    "binary": external("infer.bin", "The same as binary tensors, both ways.")
                    | {"x-headers": {HEADER_SIZE: str(len(_binary_head(subject)))}}
                },
            },
        },
    )


def binary_body(subject: Subject) -> bytes:
    """Write the binary example: JSON, and after it the levels of its image."""
    return _binary_head(subject) + subject.levels.tobytes()


def _binary_head(subject: Subject) -> bytes:
    return orjson.dumps(
        {
            "inputs": [
                {
                    "name": "images",
                    "datatype": "UINT8",
                    "shape": [1, *subject.input_shape],
                    "parameters": {"binary_data_size": subject.image_size},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    )


def _requests(subject: Subject) -> Json:
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, subject.image_size]}
    grey = {"name": "images", "datatype": "UINT8", "shape": [1, *subject.input_shape]}
    return {
        "image": {"id": "42", "inputs": [tensor | {"data": subject.values}]},
        "classification": {
            "inputs": [grey | {"data": [subject.levels.tolist()]}],
            "outputs": [
                {"name": "probabilities", "parameters": {"classification": 3}},
                {"name": "label"},
            ],
        },
    }


def _request(subject: Subject) -> Json:
    """Make the schema of a request in JSON.

    That the data has as many numbers as the shape says is beyond a schema.
    """
    unit: Json = {"type": "number", "minimum": 0, "maximum": 1}
    grey: Json = {"type": "integer", "minimum": 0, "maximum": MAX_PIXEL}
    shapes = list(dict.fromkeys([subject.input_shape, (subject.image_size,)]))
    tensors = [
        _tensor(subject, shape, datatypes, number)
        for shape in shapes
        for datatypes, number in ((["FP32", "FP64", "FP16"], unit), (["UINT8"], grey))
    ]
    return _open(
        {
            "id": {"type": ["string", "null"]},
            "parameters": {
                "anyOf": [_NOT_HERE, _open({"binary_data_output": _FLAG})],
            },
            "inputs": array({"anyOf": tensors}, 1),
            "outputs": _requested_outputs(),
        },
        required=["inputs"],
    )


def _tensor(subject: Subject, shape: tuple[int, ...], datatypes: list[str], number: Json) -> Json:
    most = subject.max_batch
    sizes = [{"type": "integer", "minimum": 1, "maximum": most}] + [{"const": n} for n in shape]
    flat = array(number, subject.image_size, most * subject.image_size)
    return _open(
        {
            "name": {"const": "images"},
            "datatype": {"enum": datatypes},
            "shape": {
                "type": "array",
                "prefixItems": sizes,
                "minItems": len(sizes),
                "maxItems": len(sizes),
            },
            "data": {"anyOf": [flat, array(nested(shape, number), 1, most)]},
            "parameters": {
                "anyOf": [
                    _NOT_HERE,
                    _open({"binary_data_size": _NOT_HERE, "shared_memory_region": _NOT_HERE}),
                ]
            },
        },
        required=["name", "datatype", "shape", "data"],
    )


def _requested_outputs() -> Json:
    """Make the schema of `outputs`: each at most once, in any order."""
    flags: Json = {"binary_data": _FLAG, "shared_memory_region": _NOT_HERE}
    classes: Json = {"type": ["integer", "null"], "minimum": 1, "maximum": 2**63 - 1}
    probabilities = _output("probabilities", flags | {"classification": classes})
    label = _output("label", flags | {"classification": _NOT_HERE})
    return {
        "anyOf": [
            _NOT_HERE,
            array({"anyOf": [probabilities, label]}, 0, 1),
            *(
                {"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2}
                for pair in ([probabilities, label], [label, probabilities])
            ),
        ]
    }


def _output(name: str, parameters: Json) -> Json:
    return _open(
        {"name": {"const": name}, "parameters": {"anyOf": [_NOT_HERE, _open(parameters)]}},
        required=["name"],
    )


def _open(properties: Json, required: Sequence[str] = ()) -> Json:
    """Make the schema of an object whose other members mean nothing."""
    return {"type": "object", "properties": properties, "required": list(required)}
