"""The page needs nothing but the service, and shows every operation."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from nncore import PublishedModel
from service.openapi.page import shorten
from tests.service.server import Service, running

EMPTY = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """Reads a page and checks that its elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def texts_of(self, parent: str) -> list[str]:
        return [text for tag, text in self.texts if tag == parent and text.strip()]


@pytest.fixture
def page(client: FlaskClient) -> Reader:
    response = client.get("/docs")
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    reader = Reader()
    reader.feed(response.text)
    reader.close()
    assert reader.open == []
    return reader


def test_it_forbids_everything_from_elsewhere(client: FlaskClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    directives = dict(directive.split(maxsplit=1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["style-src"] == directives["img-src"] == "'self'"
    assert "unsafe" not in policy


def test_it_needs_nothing_from_elsewhere(client: FlaskClient, page: Reader) -> None:
    for tag, attributes in page.elements:
        assert tag not in {"script", "style", "iframe", "object"}
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src"):
            target = attributes.get(name)
            if target and not target.startswith("#"):
                assert client.get(target).status_code == 200, target
                assert target.startswith("/")
    for path in ("/docs/style.css", "/page/base.css"):
        style = client.get(path)
        assert style.mimetype == "text/css"
        assert "url(" not in style.text
        assert "@import" not in style.text


def test_its_headings_and_landmarks_are_right(page: Reader) -> None:
    tags = [tag for tag, _ in page.elements]
    for tag in ("h1", "header", "main", "nav", "title"):
        assert tags.count(tag) == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    root = dict(page.elements)["html"]
    assert root["lang"] == "en"
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.elements:
        for name in (attributes.get("href"), f"#{attributes.get('aria-labelledby', 'main')}"):
            if name and name.startswith("#"):
                assert name[1:] in names


def test_it_shows_every_operation(client: FlaskClient, page: Reader) -> None:
    document = client.get("/openapi.json").get_json()
    codes = page.texts_of("code")
    commands = [code for code in codes if code.startswith("curl")]
    for path, operations in document["paths"].items():
        assert path in codes
        for operation in operations.values():
            if "summary" in operation:
                assert operation["summary"] in page.texts_of("a")
    assert len(commands) >= len(document["paths"])
    assert not any("{" in command for command in commands)


def test_a_host_s_name_is_escaped(client: FlaskClient) -> None:
    text = client.get("/docs", headers={"Host": "example.org:81"}).text
    assert "http://example.org:81/predict" in text
    assert (
        "<b>" not in client.get("/docs", headers={"Host": "x<b>'$(y)"}).text.partition("<main")[0]
    )


def test_an_unknown_example_is_none(client: FlaskClient) -> None:
    response = client.get("/docs/examples/..%2fdocs.py")
    assert response.status_code == 404
    response = client.get("/docs/examples/nothing.json")
    assert response.status_code == 404
    assert "predict.image.json" in response.get_json()["detail"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ([], "[]"),
        ({}, "{}"),
        ([1] * 11, "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, …]"),
        ([[1], [2], [3]], "[\n  [1],\n  [2],\n  …\n]"),
        ({"a": "ü", "b": {"c": None}}, '{\n  "a": "ü",\n  "b": {\n    "c": null\n  }\n}'),
    ],
)
def test_what_is_long_is_shortened(value: object, text: str) -> None:
    assert shorten(value) == text


@pytest.fixture
def service(published: PublishedModel, tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path, tmp_path / "log", {"WEB_CONCURRENCY": "1"}) as service:
        yield service


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
def test_its_commands_run_as_they_are(service: Service) -> None:
    connection = service.connect()
    connection.request("GET", "/docs")
    reader = Reader()
    reader.feed(connection.getresponse().read().decode())
    connection.close()
    commands = [code for code in reader.texts_of("code") if code.startswith("curl")]
    failing = [
        command
        for command in commands
        if subprocess.run(
            ["sh", "-c", f"{command} --fail --silent --output /dev/null"], check=False
        ).returncode
    ]
    assert failing == []
