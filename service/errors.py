"""Errors of requests: the exception, and how every error becomes one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# The WSGI environment's key for the id of a request.
REQUEST_ID = "nodestack.request_id"
# The WSGI environment's key for the detail of an error that is the service's own fault.
FAILURE = "nodestack.failure"
INTERNAL_ERROR = "internal error; the log has its traceback"
# Paths of protocols whose clients expect the errors of another server.
_FOREIGN_PATHS = ("/v1", "/v2", "/invocations", "/ping", "/version")


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


def encode_error(path: str, status: int, detail: str, request_id: str) -> tuple[bytes, str]:
    """Return the body of an error response and its content type.

    It is `application/problem+json` (RFC 9457) with `error` as a copy of `detail`; on the paths
    of other servers' protocols it is `application/json` with `error` alone.
    """
    document: dict[str, str | int] = {"error": detail, "request_id": request_id}
    if path.startswith(_FOREIGN_PATHS):
        return orjson.dumps(document), "application/json"
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return orjson.dumps(problem | document), "application/problem+json"


def respond_with_error(
    error: RequestError, environ: WSGIEnvironment, start_response: StartResponse
) -> list[bytes]:
    """Answer a request with an error before the application has seen it, as a WSGI application."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        environ[FAILURE] = error.detail
    body, content_type = encode_error(
        environ["PATH_INFO"], error.status, error.detail, environ.get(REQUEST_ID, "")
    )
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    status = f"{error.status} {HTTPStatus(error.status).phrase}"
    start_response(status, [*headers, *error.headers.items()])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def register_error_handlers(app: Flask) -> None:
    """Answer every error of the application in JSON."""

    def respond(status: int, detail: str, headers: Mapping[str, str]) -> Response:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            request.environ[FAILURE] = detail
        request_id = request.environ.get(REQUEST_ID, "")
        body, content_type = encode_error(request.path, status, detail, request_id)
        return Response(body, status, headers, content_type=content_type)

    def on_request_error(error: RequestError) -> Response:
        return respond(error.status, error.detail, error.headers)

    def on_http_exception(error: HTTPException) -> Response:
        """Answer what Flask raises; Flask turns an unhandled exception into its 500."""
        headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        return respond(error.code or 500, _detail(error), headers)

    app.register_error_handler(RequestError, on_request_error)
    app.register_error_handler(HTTPException, on_http_exception)


def _detail(error: HTTPException) -> str:
    if isinstance(error, NotFound):
        return f"no route {request.path!r:.100} (GET / lists the endpoints)"
    if isinstance(error, MethodNotAllowed):
        methods = set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}
        return f"expected {' or '.join(sorted(methods))}, got {request.method:.100}"
    if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return INTERNAL_ERROR
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = request.max_content_length
        return f"expected a body of at most {limit} bytes, got more: send fewer images per request"
    return error.description or "the request cannot be answered"
