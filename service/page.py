"""`GET /`: for a browser the page to draw on, for other clients a sign of life."""

from pathlib import Path

import orjson
from flask import Blueprint, Response, current_app, render_template, request

from service.errors import RequestError
from service.models import Models

_FOLDER = Path(__file__).with_name("page")
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


def create_page_routes(models: Models) -> Blueprint:
    """Make the routes.

    Args:
        models: The page shows the labels of the one that answers by default.
    """
    routes = Blueprint("page", __name__)
    files = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}

    @routes.get("/")
    def root() -> Response:
        """Give the page to a browser; others, KServe's client among them, want a sign of life."""
        if request.accept_mimetypes.best_match(("application/json", _HTML)) != _HTML:
            answer = orjson.dumps({"status": "alive", "doors": _doors()})
            response = Response(answer, mimetype="application/json")
        else:
            model = models.current.get(models.default_name)
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
        """Give a file that the page asks for."""
        if filename not in files:
            raise RequestError(
                404, f"expected a file of the page ({', '.join(files)}), got {filename:.100}"
            )
        response = Response(files[filename], mimetype=_TYPES[Path(filename).suffix])
        response.cache_control.no_cache = True
        response.add_etag()
        response.make_conditional(request)
        return response

    return routes


def _doors() -> list[str]:
    """List every route."""
    doors = {
        f"{method} {rule.rule}"
        for rule in current_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    return sorted(doors, key=lambda door: door.split()[::-1])
