"""The errors, in two forms, each for the clients of its paths; see `service.error_answers`."""

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
    503: (
        "No model is ready to answer, or there is too much to do at once.",
        "expected fewer requests at once, got this one while 64 wait: try again later",
    ),
}
# The clients of other servers know no 422.
_BAD_REQUEST = (
    "The body is malformed, does not arrive whole, or is not what the model takes.",
    _ERRORS[422][1],
)


def errors(form: Form, *statuses: int) -> Json:
    """Refer to the responses of errors."""
    return {str(status): {"$ref": f"#/components/responses/{form}{status}"} for status in statuses}


def error_responses() -> Json:
    """Make the components that `errors` refers to."""
    responses = {
        f"Problem{status}": _response("Problem", status, *_ERRORS[status]) for status in _ERRORS
    }
    others = _ERRORS | {400: _BAD_REQUEST}
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
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    example: Json = {"error": detail, "request_id": REQUEST_ID}
    if form == "Problem":
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        example = problem | example
    schema = {"$ref": f"#/components/schemas/{form}"}
    content = {_CONTENT_TYPES[form]: content_of(schema, {"error": example})}
    return {"description": meaning, "headers": headers, "content": content}
