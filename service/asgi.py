"""The bridge from gunicorn's event loop to the Flask application.

It reads a request's body without blocking other requests, rejects requests that would wait too
long before it reads their bodies, and calls the application, which is plain WSGI, for the requests
in its queue. Every few milliseconds the event loop answers health checks and pages. What takes
long (pictures to decode, versions to load, metrics to sum up) runs in a background thread.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from service.app import create_app, run_every
from service.errors import RequestError
from service.middleware import Middleware
from service.request_body import HeldBytes, Receive, RequestBody
from service.request_queue import RequestQueue
from service.resources import MemoryGrowth

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from service.settings import Settings

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
# Status, headers and body.
Response = tuple[int, list[tuple[bytes, bytes]], bytes]

_MEMORY_CHECK_SECONDS = 0.1


def create_asgi_app() -> Bridge:
    """Return the application that gunicorn serves, with the settings of the environment."""
    app = create_app()
    bridge = Bridge(app.extensions["nodestack.middleware"], app.extensions["nodestack.settings"])
    run_every(_MEMORY_CHECK_SECONDS, bridge.memory.check)
    return bridge


class Bridge:
    """An ASGI application around the service's WSGI application.

    Args:
        application: The Flask application in its middleware.
        settings: The largest body and the longest wait.

    Attributes:
        memory: Whether responses close their connections.
    """

    def __init__(self, application: Middleware, settings: Settings) -> None:
        self._application = application
        self._max_body_bytes = settings.max_body_bytes
        self._held_bytes = HeldBytes()
        self.memory = MemoryGrowth()
        self._computing = RequestQueue[Response](settings.max_queue_seconds)
        self._pictures = RequestQueue[Response](settings.max_queue_seconds, "pictures")
        self._files = RequestQueue[Response](settings.max_queue_seconds, "files")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, as the ASGI specification defines it."""
        if scope["type"] != "http":
            raise ValueError(f"expected an HTTP request, got {scope['type']}")
        environ = _make_environ(scope)
        error = self._application.admit(environ)
        queue = self._queue(environ)
        if error is None and queue:
            error = queue.rejection() or self._held_bytes.rejection()
        body = RequestBody(environ, receive, self._max_body_bytes, self._held_bytes)
        try:
            if error is None and environ["REQUEST_METHOD"] == "POST":
                error = await body.read()
                environ["CONTENT_LENGTH"] = str(len(body.data))
                environ["wsgi.input"] = BytesIO(body.data)
            begin = partial(self._begin, environ, error)
            if queue and error is None:
                response = await queue.run(begin, len(body.data))
            else:
                response = begin()()
        finally:
            body.release()
        self._held_bytes.count += len(response[2])
        try:
            # gunicorn sends the head with the first part of the body, so an empty one cannot close.
            await _send(send, *response, close=self.memory.is_too_large and response[2] != b"")
        finally:
            self._held_bytes.count -= len(response[2])
        if error is not None:
            await body.discard()

    def _queue(self, environ: WSGIEnvironment) -> RequestQueue[Response] | None:
        """Return the queue for what a request asks; None for what takes no time."""
        path, is_post = environ["PATH_INFO"], environ["REQUEST_METHOD"] == "POST"
        if is_post and environ.get("CONTENT_TYPE", "").startswith(("image/", "multipart/")):
            return self._pictures
        if path == "/metrics" or "/versions/" in path:
            return self._files
        return self._computing if is_post else None

    def _begin(
        self, environ: WSGIEnvironment, error: RequestError | None
    ) -> Callable[[], Response]:
        """Call the application; return the function that finishes the response."""
        return partial(_finish, self._application.begin(environ, error), environ)


def _finish(finish: Callable[[StartResponse], list[bytes]], environ: WSGIEnvironment) -> Response:
    status, headers = 500, list[tuple[bytes, bytes]]()

    def start(line: str, pairs: list[tuple[str, str]], _: Any = None) -> Any:
        nonlocal status
        status = int(line[:3])
        headers.extend((name.lower().encode(), value.encode("latin-1")) for name, value in pairs)
        headers.append((b"server", b"nodestack"))

    body = b"".join(finish(start))
    return status, headers, b"" if environ["REQUEST_METHOD"] == "HEAD" else body


async def _send(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes, *, close: bool
) -> None:
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": close})
    if close:
        # gunicorn does not follow that header, but closes the connection of a cancelled request.
        raise asyncio.CancelledError


def _make_environ(scope: dict[str, Any]) -> WSGIEnvironment:
    """Return the WSGI environment of an ASGI request, with an empty body."""
    path: str = scope["path"]
    if not path.isascii():
        path = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
    host, port = scope["server"] or ("", 0)
    client = scope["client"]
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key, text = _environ_key(name), value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


@lru_cache(256)
def _environ_key(header: bytes) -> str:
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
