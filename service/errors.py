"""Every error as one JSON document, `application/problem+json` of RFC 9457."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound


class RequestError(Exception):
    """A request that gets an error for an answer.

    Args:
        status: Of the answer, 400 or more.
        detail: One sentence: what was expected, what came, what to do.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def problem(status: int, detail: str, headers: Mapping[str, str]) -> Response:
    """Make the answer; `error` repeats `detail`, where clients of other services look for it."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error": detail,
    }
    return Response(json.dumps(document), status, headers, mimetype="application/problem+json")


def register_error_handlers(app: Flask) -> None:
    """Answer with a problem whatever goes wrong in the application."""
    app.register_error_handler(RequestError, _answer_request_error)
    app.register_error_handler(HTTPException, _answer_http_exception)


def _answer_request_error(error: RequestError) -> Response:
    return problem(error.status, error.detail, error.headers)


def _answer_http_exception(error: HTTPException) -> Response:
    """Answer what Flask raises; an exception that nothing handled comes as its 500."""
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return problem(error.code or 500, _detail(error), headers)


def _detail(error: HTTPException) -> str:
    if isinstance(error, NotFound):
        return f"expected a path of this service, got {request.path!r:.100}"
    if isinstance(error, MethodNotAllowed):
        methods = set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}
        return f"expected {' or '.join(sorted(methods))}, got {request.method:.100}"
    if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return "the service failed to answer this request; its log says why"
    return error.description or "the request cannot be answered"
