"""The documentation of all routes: as OpenAPI, and as a page for people."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, render_template, request

from service.errors import RequestError
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry
from service.openapi.document import build_document
from service.openapi.examples import encode_example
from service.settings import Settings

_STATIC = Path(__file__).with_name("static")
_VIEWER = _STATIC / "vendor" / "swagger-ui"
_FILES = {
    path.name: path
    for path in (_STATIC / "docs.js", _VIEWER / "swagger-ui-bundle.js", _VIEWER / "swagger-ui.css")
}
_TYPES = {
    ".bin": "application/octet-stream",
    ".bmp": "image/bmp",
    ".css": "text/css",
    ".csv": "text/csv",
    ".jpeg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".npy": "application/x-npy",
    ".png": "image/png",
    ".webp": "image/webp",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def create_documentation_routes(registry: Registry, settings: Settings) -> Blueprint:
    """Return the routes.

    Args:
        registry: Its default model is in schemas and examples.
        settings: Its limits and access control are documented.
    """
    routes = Blueprint("documentation", __name__)
    latest: tuple[LoadedModel | None, str, dict[str, Any]] | None = None

    def document() -> dict[str, Any]:
        """Return the document, which is built when it is first requested for a model."""
        nonlocal latest
        model, root_path = registry.current.get(registry.default_name), request.root_path
        if latest is None or latest[0] is not model or latest[1] != root_path:
            latest = model, root_path, build_document(model, settings, root_path)
        return latest[2]

    @routes.get("/openapi.json")
    def openapi() -> Response:
        """Return the OpenAPI document."""
        return _with_etag(orjson.dumps(document()), "application/json")

    @routes.get("/docs")
    def docs() -> Response:
        """Return the page."""
        return Response(render_template("docs.html"), headers=_HEADERS, mimetype="text/html")

    @routes.get("/docs/<filename>")
    def file(filename: str) -> Response:
        """Return a script or the style sheet of the page."""
        path = _FILES.get(filename)
        if path is None:
            raise _not_found(filename, _FILES)
        return _with_etag(path.read_bytes(), _TYPES[path.suffix])

    @routes.get("/docs/examples/<filename>")
    def example(filename: str) -> Response:
        """Return the body of an example request."""
        examples = document()["components"]["examples"]
        if filename not in examples:
            raise _not_found(filename, examples)
        body = encode_example(examples, filename)
        return Response(body, mimetype=_TYPES[Path(filename).suffix])

    return routes


def _not_found(filename: str, known: Iterable[str]) -> RequestError:
    return RequestError(404, f"no file {filename!r:.100} (available: {', '.join(known)})")


def _with_etag(body: bytes, mimetype: str) -> Response:
    """Return a response that a client may keep, and must revalidate."""
    response = Response(body, mimetype=mimetype)
    response.cache_control.no_cache = True
    response.add_etag()
    response.make_conditional(request)
    return response
