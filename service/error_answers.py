"""Every error as one JSON document, in the form that the clients of its path know."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from service.bodies import discard_body
from service.errors import RequestError
from service.observation import OBSERVATION, observation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# How the paths begin whose clients were written for another server, and expect its errors.
_OTHER_SERVERS = ("/v1", "/v2", "/invocations", "/ping", "/version")


def write_error(path: str, status: int, detail: str, request_id: str) -> tuple[bytes, str]:
    """Write an error as the clients of a path read it.

    Most read `application/problem+json` of RFC 9457, in which `error` repeats `detail`, where
    clients of other services look for it; the clients of other servers, `application/json`.

    Returns:
        The body and its content type.
    """
    document: dict[str, str | int] = {"error": detail, "request_id": request_id}
    if path.startswith(_OTHER_SERVERS):
        return orjson.dumps(document), "application/json"
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return orjson.dumps(problem | document), "application/problem+json"


def refuse(
    error: RequestError, environ: WSGIEnvironment, start_response: StartResponse
) -> list[bytes]:
    """Answer a request, whose body nobody reads any more, in the application's stead.

    The arguments and what is returned are those of a WSGI application.
    """
    observed = environ[OBSERVATION]
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        observed.failure = error.detail
    body, content_type = write_error(
        environ["PATH_INFO"], error.status, error.detail, observed.request_id
    )
    head = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    status = f"{error.status} {HTTPStatus(error.status).phrase}"
    start_response(status, [*head, *error.headers.items()])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def register_error_handlers(app: Flask) -> None:
    """Answer in JSON whatever goes wrong in the application."""

    def answer(status: int, detail: str, headers: Mapping[str, str]) -> Response:
        observed = observation()
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            observed.failure = detail
        body, content_type = write_error(request.path, status, detail, observed.request_id)
        discard_body(request.environ["wsgi.input"])
        return Response(body, status, headers, content_type=content_type)

    def answer_request_error(error: RequestError) -> Response:
        return answer(error.status, error.detail, error.headers)

    def answer_http_exception(error: HTTPException) -> Response:
        """Answer what Flask raises; an exception that nothing handled comes as its 500."""
        headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        return answer(error.code or 500, _detail(error), headers)

    app.register_error_handler(RequestError, answer_request_error)
    app.register_error_handler(HTTPException, answer_http_exception)


def _detail(error: HTTPException) -> str:
    if isinstance(error, NotFound):
        return f"expected a path of this service, got {request.path!r:.100}"
    if isinstance(error, MethodNotAllowed):
        methods = set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}
        return f"expected {' or '.join(sorted(methods))}, got {request.method:.100}"
    if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return "the service failed to answer this request; its log says why"
    return error.description or "the request cannot be answered"
