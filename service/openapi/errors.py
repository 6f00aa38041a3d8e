"""The errors, in two forms, each for the clients of its paths; see `service.error_answers`."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Literal

from service.openapi.parts import REQUEST_ID_HEADER, TEXT, Json, closed, content_of

REQUEST_ID = "4f1f6ed0b1a94f0f8f4a7e9a0f6f2d3c"

Form = Literal["Problem", "Error"]
_CONTENT_TYPES = {"Problem": "application/problem+json", "Error": "application/json"}
# What each status says of the request, and an example of its detail.
_ERRORS = {
    400: (
        "The body is malformed, or does not arrive whole.",
        "malformed JSON: unexpected character at line 1 column 2",
    ),
    401: (
        "There is no API key with the request, or another than the service knows.",
        "expected an API key of this service, got none: "
        "send one as Authorization: Bearer KEY or X-API-Key: KEY",
    ),
    404: (
        "There is none of this name or number.",
        "expected a model that is there (mnist), got minst",
    ),
    413: (
        "The body is larger than the service takes.",
        "expected a body of at most 16777216 bytes, got 20000000: send fewer images a request",
    ),
    415: (
        "The `Content-Type`, or the `Content-Encoding`, is not one of those documented.",
        "expected Content-Type: application/json, got text/plain",
    ),
    422: (
        "The body is well-formed, but not what the model takes.",
        "expected 784 numbers an image, got 783 in image 0",
    ),
    429: (
        "The client has asked too often.",
        "expected at most 100/minute from a client, got more: try again in 7 s",
    ),
    503: (
        "No model is ready to answer, or there is too much to do at once.",
        "expected fewer requests at once, got this one while 64 wait: try again later",
    ),
}
# Answered only where there are keys and a limit.
_OF_GATES = {401, 429}
_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
# The clients of other servers know no 422.
_BAD_REQUEST = (
    "The body is malformed, does not arrive whole, or is not what the model takes.",
    _ERRORS[422][1],
)


def errors(form: Form, *statuses: int) -> Json:
    """Refer to the responses of errors."""
    return {str(status): {"$ref": f"#/components/responses/{form}{status}"} for status in statuses}


def error_responses(of_gates: Collection[int]) -> Json:
    """Make the components that `errors` refers to.

    Args:
        of_gates: Those of 401 and 429 that can come.
    """
    own = {
        status: error
        for status, error in _ERRORS.items()
        if status not in _OF_GATES or status in of_gates
    }
    responses = {f"Problem{status}": _response("Problem", status, *own[status]) for status in own}
    others = own | {400: _BAD_REQUEST}
    del others[422]
    return responses | {
        f"Error{status}": _response("Error", status, *others[status]) for status in others
    }


def error_schemas() -> Json:
    """Make the components `Problem` and `Error`."""
    status = {"type": "integer", "minimum": 400, "maximum": 599}
    error = {"error": TEXT, "request_id": TEXT}
    problem = {"type": {"const": "about:blank"}, "title": TEXT, "status": status, "detail": TEXT}
    return {"Problem": closed(problem | error), "Error": closed(error)}


def _response(form: Form, status: int, meaning: str, detail: str) -> Json:
    headers = dict(REQUEST_ID_HEADER)
    if name := _HEADERS.get(status):
        headers[name] = {"$ref": f"#/components/headers/{name}"}
    example: Json = {"error": detail, "request_id": REQUEST_ID}
    if form == "Problem":
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        example = problem | example
    schema = {"$ref": f"#/components/schemas/{form}"}
    content = {_CONTENT_TYPES[form]: content_of(schema, {"error": example})}
    return {"description": meaning, "headers": headers, "content": content}
