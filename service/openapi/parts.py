"""The parts that operations of an OpenAPI document are put together from."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.openapi.subject import Subject

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
BYTES: Json = {"type": "string", "format": "binary"}
REQUEST_ID_HEADER: Json = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
MODEL_VERSION_HEADER: Json = {"X-Model-Version": {"$ref": "#/components/headers/X-Model-Version"}}
# Where the bodies of the examples are served.
FOLDER = "/docs/examples/"

_NAME: Json = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}
_NUMBER: Json = {"type": "integer", "minimum": 1, "maximum": 999_999_999}


def operation(
    name: str,
    summary: str,
    description: str,
    responses: Json,
    *,
    parameters: Sequence[Json] = (),
    body: Mapping[str, Json] | None = None,
    body_required: bool = True,
) -> Json:
    """Make an operation.

    Args:
        name: Its `operationId`.
        summary: What it does, in a few words.
        description: The same in sentences; paragraphs are apart by an empty line.
        responses: By status.
        parameters: Beside those that every operation has.
        body: The media types of its request's body, none when None.
        body_required: Whether a request without a body is an error.
    """
    made: Json = {
        "operationId": name,
        "summary": summary,
        "description": description,
    }
    if parameters:
        made["parameters"] = list(parameters)
    if body:
        made["requestBody"] = {"required": body_required, "content": dict(body)}
    return made | {"responses": responses}


def of_model(
    subject: Subject,
    versioned: bool,
    name: str,
    summary: str,
    description: str,
    responses: Json,
    *,
    parameters: Sequence[Json] = (),
    body: Mapping[str, Json] | None = None,
) -> Json:
    """Make an operation whose path names a model and perhaps a version; see `operation`."""
    in_path = [_parameter("name", "The model.", subject.model, _NAME)]
    if versioned:
        in_path.append(_parameter("version", "One of its versions.", subject.version, _NUMBER))
        name, summary = f"{name}OfVersion", f"{summary}, of a version"
    return operation(
        name, summary, description, responses, parameters=[*in_path, *parameters], body=body
    )


def _parameter(name: str, description: str, example: Any, schema: Json) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def content_of(
    schema: Json, examples: Mapping[str, Any], summaries: Mapping[str, str] | None = None
) -> Json:
    """Make the media type of a body, with examples and what is special about them by name."""
    summaries = summaries or {}
    return {
        "schema": schema,
        "examples": {
            name: ({"summary": summaries[name]} if name in summaries else {}) | {"value": value}
            for name, value in examples.items()
        },
    }


def external(file: str, summary: str) -> Json:
    """Refer to the file of an example from an operation."""
    return {"summary": summary, "externalValue": FOLDER + file}


def answers(description: str, schema: Json, example: Any, headers: Json | None = None) -> Json:
    """Make the response 200 of JSON."""
    content = {"application/json": content_of(schema, {"answer": example})}
    return answers_with(description, content, headers)


def answers_with(description: str, content: Json, headers: Json | None = None) -> Json:
    """Make the response 200 of any media types."""
    headers = REQUEST_ID_HEADER | (headers or {})
    return {"200": {"description": description, "headers": headers, "content": content}}


def closed(properties: Mapping[str, Any], optional: Sequence[str] = ()) -> Json:
    """Make the schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
