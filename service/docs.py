"""The routes that document all routes: for machines, and as a page for people."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import orjson
from flask import Blueprint, Response, render_template, request

from service.errors import RequestError
from service.models import Models
from service.openapi import Subject, describe
from service.openapi.files import ExampleFile, example_files
from service.openapi.page import Page, make_page
from service.openapi.parts import FOLDER
from service.serving import ServedModel
from service.settings import Settings

_STYLE = Path(__file__).with_name("templates") / "docs.css"
_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


class _Documentation:
    """Everything that is told of one model, each part made when it is first asked for."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._document = describe(subject)
        self._json = orjson.dumps(self._document)

    def to_json(self, origin: str) -> bytes:
        """Write the document; the standard wants absolute addresses of the examples' files."""
        here, there = (b'"externalValue":"' + text.encode() for text in (FOLDER, origin + FOLDER))
        return self._json.replace(here, there)

    @cached_property
    def page(self) -> Page:
        return make_page(self._document, self._subject)

    @cached_property
    def files(self) -> Mapping[str, ExampleFile]:
        return example_files(self._document, self._subject)


def create_documentation_routes(models: Models, settings: Settings) -> Blueprint:
    """Make the routes.

    Args:
        models: What is documented is the one that answers by default.
        settings: Its limits are documented.
    """
    routes = Blueprint("documentation", __name__)
    latest: tuple[ServedModel | None, _Documentation] | None = None

    def documentation() -> _Documentation:
        nonlocal latest
        model = models.current.get(models.default_name)
        if latest is None or latest[0] is not model:
            latest = model, _Documentation(Subject.of(models, settings))
        return latest[1]

    @routes.get("/openapi.json")
    def openapi() -> Response:
        """Give the document of OpenAPI."""
        return Response(documentation().to_json(_origin()), mimetype="application/json")

    @routes.get("/docs")
    def docs() -> Response:
        """Give the page."""
        page = render_template("docs.html", page=documentation().page, origin=_origin())
        return Response(page, headers=_POLICY, mimetype="text/html")

    @routes.get("/docs/style.css")
    def style() -> Response:
        """Give the page's style."""
        return Response(_STYLE.read_bytes(), mimetype="text/css")

    @routes.get("/docs/examples/<file>")
    def example(file: str) -> Response:
        """Give the body of an example."""
        there = documentation().files
        if file not in there:
            raise RequestError(
                404, f"expected an example ({', '.join(there)}), got {file:.100}: see /docs"
            )
        return Response(there[file].body, content_type=there[file].content_type)

    return routes


def _origin() -> str:
    """Tell by what address the client has found the service."""
    return quote(request.host_url.rstrip("/"), safe=":/[]")
