"""The WSGI middleware around the Flask application.

It assigns the request id, strips the path prefix, checks access, adds the headers that every
response carries, and logs and counts the request. Flask's own hooks would cost more time, and
would not see requests that are rejected before Flask.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from service.auth import AccessControl
from service.cors import cors_headers, is_preflight
from service.errors import INTERNAL_ERROR, REQUEST_ID, RequestError, respond_with_error
from service.inference import FINISH, INFERENCE
from service.observability.metrics import Metrics
from service.observability.request_log import assign_request_id, log_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from service.settings import Settings

# The WSGI environment's key for when the head of a request arrived, by `perf_counter`.
STARTED = "nodestack.started"

# Browsers must not guess another content type, such as HTML.
_CONTENT_TYPE_OPTIONS = ("X-Content-Type-Options", "nosniff")
_CONTENT_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
# Images and predictions are the client's own.
_NO_STORE = ("Cache-Control", "no-store")

_log = logging.getLogger(__name__)


class Middleware:
    """Wraps the Flask application.

    Args:
        application: The Flask application's own WSGI callable.
        settings: Path prefix, access control, allowed origins.
        metrics: Where requests are counted.
    """

    def __init__(self, application: WSGIApplication, settings: Settings, metrics: Metrics) -> None:
        self._application = application
        self._root_path = settings.root_path
        self._access = AccessControl(settings)
        self._origins = settings.cors_allow_origins
        self._metrics = metrics

    def admit(self, environ: WSGIEnvironment) -> RequestError | None:
        """Prepare a request's environment and check access, before its body is read.

        Returns:
            The error to answer with (401 or 429); None for a request that may pass.
        """
        environ[STARTED] = perf_counter()
        assign_request_id(environ)
        if self._root_path:
            environ["SCRIPT_NAME"] = self._root_path
            if environ["PATH_INFO"].startswith(self._root_path + "/"):
                environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(self._root_path)
        return None if is_preflight(environ, self._origins) else self._access.check(environ)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 defines it; for any WSGI server."""
        return self.begin(environ, self.admit(environ))(start_response)

    def begin(
        self, environ: WSGIEnvironment, error: RequestError | None
    ) -> Callable[[StartResponse], list[bytes]]:
        """Call the application for a request that went through `admit`.

        Args:
            environ: The request, with its whole body.
            error: Answered in the application's place if there is one.

        Returns:
            The rest of the work, which predicts, encodes, logs and counts, as a function of
            `start_response` that returns the parts of the response body.
        """
        self._metrics.in_flight += 1
        head = _Head(environ)
        parts = (
            respond_with_error(error, environ, head) if error else self._application(environ, head)
        )
        return partial(self._finish, environ, head, parts)

    def _finish(
        self,
        environ: WSGIEnvironment,
        head: _Head,
        parts: Iterable[bytes],
        start_response: StartResponse,
    ) -> list[bytes]:
        try:
            if finish := environ.pop(FINISH, None):
                parts = finish()(environ, head)
            body = b"".join(parts)
            if close := getattr(parts, "close", None):
                close()
        except Exception:  # noqa: BLE001 - a fault of ours must not end the connection
            _log.exception("the response could not be made")
            error = RequestError(500, INTERNAL_ERROR)
            body = b"".join(respond_with_error(error, environ, head))
        headers = head.headers
        headers.append(("X-Request-ID", environ[REQUEST_ID]))
        headers.append(_CONTENT_TYPE_OPTIONS)
        if environ["REQUEST_METHOD"] == "POST":
            headers += (_CONTENT_POLICY, _NO_STORE)
        elif not any(name == "Content-Security-Policy" for name, _ in headers):
            headers.append(_CONTENT_POLICY)
        headers += cors_headers(environ, self._origins)
        start_response(head.status, headers)
        self._metrics.in_flight -= 1
        status, seconds = int(head.status[:3]), perf_counter() - environ[STARTED]
        inference = environ.get(INFERENCE)
        self._metrics.count_request(head.route, head.protocol, status, seconds, inference)
        log_request(environ, status, seconds)
        return [body]


class _Head:
    """A `start_response` that keeps the head of a response, and the route that answered."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        self.status = "500 Internal Server Error"
        self.headers: list[tuple[str, str]] = []
        self.route, self.protocol = "none", "none"

    def __call__(self, status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        self.status, self.headers = status, headers
        # Read here because Flask drops its request before it returns.
        request = self._environ.get("werkzeug.request")
        if request and getattr(request, "url_rule", None):
            self.route, self.protocol = request.url_rule.rule, request.blueprint
