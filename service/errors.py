"""Errors of requests: the exception, and how every error becomes one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from flask import Flask, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Keys of the WSGI environment: the request's id, and the detail of an error of status 500 or more.
REQUEST_ID = "nodestack.request_id"
FAILURE = "nodestack.failure"
INTERNAL_ERROR = "internal error; the log has its traceback"
# Paths of protocols whose clients expect the errors of another server.
_FOREIGN_PATHS = ("/v1", "/v2", "/invocations", "/ping", "/version")

# Body, status and headers; Flask accepts it from an error handler.
_ErrorResponse = tuple[bytes, int, dict[str, str]]


class RequestError(Exception):
    """A request that gets an error as its response.

    Args:
        status: HTTP status, 400 or more.
        detail: One sentence: what was expected, what came, what to do.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def invalid(expected: str, got: str) -> RequestError:
    """Return the error for a body or query that can be read but has an invalid value (422)."""
    return RequestError(422, f"expected {expected}, got {got}")


def too_large(max_bytes: int) -> RequestError:
    """Return the error for a body that is larger, as received or after decompression (413)."""
    expected = f"a body of at most {max_bytes} bytes, also after decompression"
    return RequestError(413, f"expected {expected}, got more: send fewer images per request")


def respond_with_error(
    error: RequestError, environ: WSGIEnvironment, start_response: StartResponse
) -> list[bytes]:
    """Answer a request with an error, as a WSGI application."""
    body, status, headers = _encode(error, environ)
    headers["Content-Length"] = str(len(body))
    start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def register_error_handlers(app: Flask) -> None:
    """Answer every error of the application in JSON."""

    def on_request_error(error: RequestError) -> _ErrorResponse:
        return _encode(error, request.environ)

    def on_http_exception(error: HTTPException) -> _ErrorResponse:
        """Answer what Flask raises; Flask turns an unhandled exception into its 500."""
        answer = RequestError(error.code or 500, _detail(error), dict(error.get_headers()))
        return _encode(answer, request.environ)

    app.register_error_handler(RequestError, on_request_error)
    app.register_error_handler(HTTPException, on_http_exception)


def _encode(error: RequestError, environ: WSGIEnvironment) -> _ErrorResponse:
    """Return an error as `application/problem+json` (RFC 9457), with `error` a copy of `detail`.

    On the paths of other servers' protocols it is `application/json` without the problem's own
    members, and 400 is the status of every invalid input.
    """
    status, content_type = error.status, "application/json"
    document = {"error": error.detail, "request_id": environ.get(REQUEST_ID, "")}
    if not environ["PATH_INFO"].startswith(_FOREIGN_PATHS):
        content_type = "application/problem+json"
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "detail": error.detail}
        document = problem | document
    elif status == HTTPStatus.UNPROCESSABLE_ENTITY:
        status = HTTPStatus.BAD_REQUEST
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        environ[FAILURE] = error.detail
    return orjson.dumps(document), int(status), {**error.headers, "Content-Type": content_type}


def _detail(error: HTTPException) -> str:
    if isinstance(error, NotFound):
        return f"no route {request.path!r:.100} (GET / lists the endpoints)"
    if isinstance(error, MethodNotAllowed):
        methods = set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}
        return f"expected {' or '.join(sorted(methods))}, got {request.method:.100}"
    if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return INTERNAL_ERROR
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return too_large(request.max_content_length or 0).detail
    return error.description or "the request cannot be answered"
