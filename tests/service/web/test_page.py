"""`GET /`: who gets the page, and what it consists of."""

import re
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from service.settings import Settings
from tests.service.conftest import make_app, publish
from tests.service.server import ROOT
from trainer.synthetic import generate_digits

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def files_of(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="(/page/[^"]+)"', html)


def test_a_browser_gets_the_page(client: FlaskClient) -> None:
    response = client.get("/", headers=BROWSER)
    assert response.content_type == "text/html; charset=utf-8"
    assert "Accept" in response.vary
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "Set-Cookie" not in response.headers
    assert 'width="28" height="28"' in response.text
    assert len(re.findall(r"<li>", response.text)) == 10


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0.5, */*", None])
def test_others_get_a_sign_of_life_and_the_doors(client: FlaskClient, accept: str | None) -> None:
    response = client.get("/", headers={"Accept": accept} if accept else {})
    assert response.content_type == "application/json"
    assert "Accept" in response.vary
    document = response.get_json()
    assert document["status"] == "alive"
    assert {"POST /predict", "GET /docs", "POST /v2/models/<name>/infer"} <= set(document["doors"])


def test_nothing_comes_from_elsewhere_and_all_is_small(client: FlaskClient) -> None:
    html = client.get("/", headers=BROWSER).text
    assert not re.findall(r'(?:src|href)="(?!/)[^"]*"', html)
    assert not re.findall(r"\son\w+=|\sstyle=|<style|<script(?! type=\"module\" src=)", html)
    size, wanted, seen = len(html.encode()), files_of(html), set[str]()
    while wanted:
        path = wanted.pop()
        if path in seen:
            continue
        seen.add(path)
        response = client.get(path)
        assert response.status_code == 200, path
        size += len(response.data)
        if path.endswith((".js", ".css")):
            assert not re.findall(r"https?://(?!\$\{)", response.text), path
            wanted += [f"/page/{name}" for name in re.findall(r'from "\./(.+?)"', response.text)]
            wanted += re.findall(r'"(/page/[^"]+)"', response.text)
    assert {Path(path).suffix for path in seen} == {".css", ".js", ".png"}
    assert size < 100_000


def test_a_file_that_is_there_already_is_not_sent_again(client: FlaskClient) -> None:
    first = client.get("/page/draw.js")
    again = client.get("/page/draw.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
    assert first.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["nothing.js", "..%2fapp.py", "draw.html"])
def test_no_other_file_is_given(client: FlaskClient, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404


def test_the_page_is_there_without_a_model(tmp_path: Path) -> None:
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    response = client.get("/", headers=BROWSER)
    assert response.status_code == 200
    assert "<li>" not in response.text


def test_the_page_shows_the_labels_and_the_shape_of_its_model(tmp_path: Path) -> None:
    publish(tmp_path, (8, 6), labels=["<shirt>", "shoe"])
    html = make_app(Settings(model_dir=str(tmp_path))).test_client().get("/", headers=BROWSER).text
    assert "&lt;shirt&gt;" in html
    assert 'width="6" height="8"' in html


def test_the_samples_are_synthetic_digits_four_of_each() -> None:
    images, labels = generate_digits(400, seed=7)
    columns = [np.concatenate(images[labels == digit][:4]) for digit in range(10)]
    sprite = np.asarray(Image.open(ROOT / "service" / "page" / "samples.png"))
    np.testing.assert_array_equal(sprite, 255 - np.concatenate(columns, axis=1))


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of `#rrggbb`."""
    shares = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *(("ink", "paper"), ("ink", "sheet"), ("faint", "paper"), ("accent", "paper")),
        *(("on-accent", "accent"), ("for", "paper"), ("against", "paper")),
    ],
)
def test_text_has_the_contrast_of_wcag_aa(scheme: int, text: str, ground: str) -> None:
    style = (ROOT / "service" / "page" / "base.css").read_text()
    dark, light = sorted(
        luminance(re.findall(rf"--{name}: (#\w{{6}});", style)[scheme]) for name in (text, ground)
    )
    assert (light + 0.05) / (dark + 0.05) >= 4.5
