import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.settings import Settings
from tests.service.conftest import MakeClient, make_app
from tests.support.models import publish

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MAX_PAGE_BYTES = 100_000


def test_a_browser_gets_the_page_and_other_clients_the_endpoints(client: FlaskClient) -> None:
    response = client.get("/", headers=BROWSER)
    assert response.content_type == "text/html; charset=utf-8"
    assert "Accept" in response.vary
    assert "Set-Cookie" not in response.headers
    assert response.text.count("<li>") == 10
    for accept in ("*/*", "application/json", "text/html;q=0.5, */*"):
        response = client.get("/", headers={"Accept": accept})
        assert response.content_type == "application/json"
        assert "Accept" in response.vary
        endpoints = {"POST /predict", "GET /docs", "POST /v2/models/<name>/infer"}
        assert endpoints <= set(response.get_json()["endpoints"])


def test_the_page_is_small_and_all_of_it_comes_from_the_service(client: FlaskClient) -> None:
    html = client.get("/", headers=BROWSER).text
    assert not re.findall(r"\son\w+=|\sstyle=|<style|<script(?! type=\"module\" src=)", html)
    size, pending, seen = len(html.encode()), re.findall(r'(?:src|href)="([^"]+)"', html), set()
    while pending:
        path = pending.pop()
        assert not re.match(r"/|\w+:", path), "expected a relative URL"
        if path in seen:
            continue
        seen.add(path)
        response = client.get(f"/{path}")
        assert response.status_code == 200, path
        if path.startswith("page/"):
            size += len(response.data)
        if path.endswith((".js", ".css")):
            assert not re.findall(r"https?://(?!\$\{)", response.text), path
            pending += [f"page/{name}" for name in re.findall(r'from "\./(.+?)"', response.text)]
            pending += re.findall(r'"(page/[^"]+)"', response.text)
    assert {"docs", "page/draw.js", "page/sheet.js", "page/draw.css", "page/samples.png"} <= seen
    assert size < MAX_PAGE_BYTES


def test_an_unchanged_file_is_not_sent_again(client: FlaskClient) -> None:
    first = client.get("/page/draw.js")
    again = client.get("/page/draw.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
    assert first.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["nothing.js", "..%2fpage.py", "draw.html", "vendor"])
def test_no_other_file_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404


def test_the_page_shows_the_labels_and_the_shape_of_its_model(
    tmp_path: Path, make_client: MakeClient
) -> None:
    publish(tmp_path, (8, 6), labels=["<shirt>", "shoe"])
    html = make_app(Settings(model_dir=str(tmp_path))).test_client().get("/", headers=BROWSER).text
    assert "&lt;shirt&gt;" in html
    assert 'width="6" height="8"' in html
    without_model = make_client(model_name="letters").get("/", headers=BROWSER)
    assert without_model.status_code == 200
    assert "<li>" not in without_model.text


def test_the_documentation_may_load_nothing_from_other_hosts(client: FlaskClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"unsafe|\w+://", policy)


def test_every_file_of_the_documentation_is_served(client: FlaskClient) -> None:
    files = re.findall(r'(?:href|src)="([^"]+)"', client.get("/docs").text)
    assert len(files) >= 4
    types = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
    for file in files:
        assert not file.startswith(("/", "http")), "a path prefix would break it"
        response = client.get(f"/{file}")
        assert response.status_code == 200
        assert response.mimetype == types.get(Path(file).suffix, "application/json")
