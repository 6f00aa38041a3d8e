"""An empty Flask route behind the smallest possible bridge from ASGI to WSGI."""

import io
import sys
from typing import Any

from flask import Flask, Response

flask_app = Flask("empty")


@flask_app.post("/predict")
def predict() -> Response:
    """Answer without reading the request."""
    return Response(b"{}", mimetype="application/json")


@flask_app.get("/health")
def health() -> Response:
    """Answer at once."""
    return Response(b"{}", mimetype="application/json")


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer an HTTP request; without a lifespan, as the server's settings say."""
    assert scope["type"] == "http"
    body, more = bytearray(), scope["method"] == "POST"
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(bytes(body)),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        environ.setdefault(f"HTTP_{key}", value.decode("latin-1"))
    head: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        head.extend((status, headers))

    parts = flask_app(environ, start)
    response = b"".join(parts)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in head[1]]
    await send({"type": "http.response.start", "status": int(head[0][:3]), "headers": headers})
    await send({"type": "http.response.body", "body": response})
