import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.settings import Settings
from tests.service.conftest import MakeClient, make_app
from tests.support.models import publish

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_browser_gets_the_page_and_other_clients_the_endpoints(client: FlaskClient) -> None:
    response = client.get("/", headers=BROWSER)
    assert response.content_type == "text/html; charset=utf-8"
    assert "Accept" in response.vary
    assert response.text.count("<li>") == 10
    for accept in ("*/*", "application/json", "text/html;q=0.5, */*"):
        response = client.get("/", headers={"Accept": accept})
        assert response.content_type == "application/json"
        assert "Accept" in response.vary
        endpoints = {"POST /predict", "GET /docs", "POST /v2/models/<name>/infer"}
        assert endpoints <= set(response.get_json()["endpoints"])


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


@pytest.mark.parametrize("start", ["", "docs"], ids=["page", "documentation"])
def test_everything_that_a_page_loads_comes_from_the_service(
    client: FlaskClient, start: str
) -> None:
    response = client.get(f"/{start}", headers=BROWSER)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|\w+://", policy)
    assert not re.findall(r"\son\w+=|\sstyle=|<style", response.text)
    pending, seen = re.findall(r'(?:src|href)="([^"]+)"', response.text), set()
    while pending:
        path = pending.pop()
        assert not re.match(r"/|\w+:", path), "expected a relative URL"
        if path not in seen:
            seen.add(path)
            file = client.get(f"/{path}")
            assert file.status_code == 200, path
            if path.endswith(".js") and not start:
                pending += [f"page/{name}" for name in re.findall(r'from "\./(.+?)"', file.text)]
    assert len(seen) >= 4
    assert {"docs", "page/sheet.js"} <= seen or start


def test_unchanged_files_are_not_sent_again_and_no_others_served(client: FlaskClient) -> None:
    headers = {"If-None-Match": client.get("/page/draw.js").headers["ETag"]}
    assert client.get("/page/draw.js", headers=headers).status_code == 304
    for name in ("nothing.js", "..%2fpage.py", "draw.html", "vendor"):
        assert client.get(f"/page/{name}").status_code == 404
