"""Whole requests, as text, to the whole application."""

from functools import cache
from io import BytesIO
from urllib.parse import unquote_to_bytes

from flask import Flask
from werkzeug.test import create_environ, run_wsgi_app

from service.app import create_app
from service.settings import Settings
from tests.fuzz.published import MOST_IMAGES, NAME, write_version

_MOST_BYTES = 2**16


def answer_request(data: bytes) -> bool:
    """Answer a request: a line of method and path, headers, an empty line, the body."""
    head, _, body = data.partition(b"\n\n")
    # No server lets a carriage return through.
    line, *headers = head.decode("latin-1").replace("\r", "").split("\n")
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    environ = create_environ(method=method, input_stream=BytesIO(body), content_length=len(body))
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
    environ["QUERY_STRING"] = query
    for header in headers:
        name, _, value = header.partition(":")
        name = name.strip().upper().replace("-", "_")
        if name != "CONTENT_LENGTH":
            environ[name if name == "CONTENT_TYPE" else f"HTTP_{name}"] = value.strip()
    answer, status, _ = run_wsgi_app(_application(), environ, buffered=True)
    for _ in answer:
        pass
    code = int(status.split()[0])
    assert code < 500, status
    return code < 400


@cache
def _application() -> Flask:
    """Make it, with its model loaded, so that what fails inside escapes."""
    settings = Settings(
        model_dir=str(write_version().root),
        model_name=NAME,
        max_batch=MOST_IMAGES,
        max_body_bytes=_MOST_BYTES,
    )
    app = create_app(settings, background=False)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app
