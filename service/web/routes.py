"""The routes of the drawing page and of the API documentation."""

import mimetypes
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, jsonify, render_template, request

from service.errors import RequestError
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry
from service.openapi.document import build_document, encode_example
from service.settings import Settings

mimetypes.add_type("text/javascript", ".js")  # Python 3.11 has an obsolete type.
_HTML = "text/html"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
# What the page shows while there is no model of two-dimensional images.
_DEFAULT_SHAPE = (28, 28)
_EXAMPLE_TYPES = {
    ".bin": "application/octet-stream",
    ".bmp": "image/bmp",
    ".csv": "text/csv",
    ".jpeg": "image/jpeg",
    ".json": "application/json",
    ".npy": "application/x-npy",
    ".png": "image/png",
    ".webp": "image/webp",
}


def create_page_routes(registry: Registry, settings: Settings) -> Blueprint:
    """Return the routes; the pages show the default model and the limits of the settings."""
    routes = Blueprint("page", __name__, static_folder="static", static_url_path="/page")
    latest: tuple[LoadedModel | None, str, dict[str, Any]] | None = None

    @routes.get("/")
    def root() -> Response:
        """Return the page to a browser; KServe's client asks for JSON as a liveness check."""
        if request.accept_mimetypes.best_match(("application/json", _HTML)) != _HTML:
            response = jsonify(status="alive", endpoints=_endpoints())
        else:
            model = registry.current.get(registry.default_name)
            shape = model.manifest.input_shape if model else _DEFAULT_SHAPE
            height, width = shape if len(shape) == 2 else _DEFAULT_SHAPE
            labels = model.labels if model else ()
            page = render_template("draw.html", labels=labels, height=height, width=width)
            response = Response(page, headers=_HEADERS, mimetype=_HTML)
        response.vary.add("Accept")
        return response

    @routes.get("/docs")
    def docs() -> Response:
        """Return the documentation for people."""
        return Response(render_template("docs.html"), headers=_HEADERS, mimetype=_HTML)

    def document() -> dict[str, Any]:
        """Return the OpenAPI document, which is built at the first request after a change."""
        nonlocal latest
        model, root_path = registry.current.get(registry.default_name), request.root_path
        if latest is None or latest[0] is not model or latest[1] != root_path:
            latest = model, root_path, build_document(model, settings, root_path)
        return latest[2]

    @routes.get("/openapi.json")
    def openapi() -> Response:
        """Return the OpenAPI document, which a client may keep and must revalidate."""
        response = Response(orjson.dumps(document()), mimetype="application/json")
        response.cache_control.no_cache = True
        response.add_etag()
        response.make_conditional(request)
        return response

    @routes.get("/docs/examples/<filename>")
    def example(filename: str) -> Response:
        """Return the body of an example request."""
        examples = document()["components"]["examples"]
        if filename not in examples:
            known = ", ".join(examples)
            raise RequestError(404, f"no example {filename!r:.100} (available: {known})")
        body = encode_example(examples, filename)
        return Response(body, mimetype=_EXAMPLE_TYPES[Path(filename).suffix])

    return routes


def _endpoints() -> list[str]:
    endpoints = {
        f"{method} {rule.rule}"
        for rule in current_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    return sorted(endpoints, key=lambda endpoint: endpoint.split()[::-1])
