"""`GET /`: the drawing page for a browser, a list of the endpoints for other clients."""

from pathlib import Path

import orjson
from flask import Blueprint, Response, current_app, render_template, request

from service.errors import RequestError
from service.models.registry import Registry

_FOLDER = Path(__file__).with_name("static")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
_HTML = "text/html"
_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
_PICTURE = (28, 28)


def create_page_routes(registry: Registry) -> Blueprint:
    """Return the routes.

    Args:
        registry: The page shows the labels of the default model.
    """
    routes = Blueprint("page", __name__)
    files = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.is_file()}

    @routes.get("/")
    def root() -> Response:
        """Return the page to a browser; KServe's client asks for JSON as a liveness check."""
        if request.accept_mimetypes.best_match(("application/json", _HTML)) != _HTML:
            answer = orjson.dumps({"status": "alive", "endpoints": _endpoints()})
            response = Response(answer, mimetype="application/json")
        else:
            model = registry.current.get(registry.default_name)
            shape = model.manifest.input_shape if model else _PICTURE
            height, width = shape if len(shape) == 2 else _PICTURE
            page = render_template(
                "draw.html", labels=model.labels if model else (), height=height, width=width
            )
            response = Response(page, headers=_POLICY, mimetype=_HTML)
        response.vary.add("Accept")
        return response

    @routes.get("/page/<filename>")
    def file(filename: str) -> Response:
        """Return a file of the page."""
        if filename not in files:
            raise RequestError(
                404, f"the page has no file {filename!r:.100} (available: {', '.join(files)})"
            )
        response = Response(files[filename], mimetype=_TYPES[Path(filename).suffix])
        response.cache_control.no_cache = True
        response.add_etag()
        response.make_conditional(request)
        return response

    return routes


def _endpoints() -> list[str]:
    endpoints = {
        f"{method} {rule.rule}"
        for rule in current_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    return sorted(endpoints, key=lambda endpoint: endpoint.split()[::-1])
