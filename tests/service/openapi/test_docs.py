"""The page: it needs nothing from other hosts, and works in a browser."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from werkzeug.serving import make_server

from nncore.repository import PublishedModel
from service.settings import Settings
from tests.integration.browser.chromium import chromium, is_there
from tests.service.conftest import make_app

WAIT_SECONDS = 20


def test_the_page_may_load_nothing_from_other_hosts(client: FlaskClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\w+://", policy)


def test_every_file_of_the_page_is_served(client: FlaskClient) -> None:
    files = re.findall(r'(?:href|src)="([^"]+)"', client.get("/docs").text)
    assert len(files) >= 4
    types = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
    for file in files:
        assert not file.startswith(("/", "http")), "a path prefix would break it"
        response = client.get(f"/{file}")
        assert response.status_code == 200
        assert response.mimetype == types.get(Path(file).suffix, "application/json")
        again = client.get(f"/{file}", headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304


@pytest.fixture
def url(published: PublishedModel, tmp_path: Path) -> Iterator[str]:
    app = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0, root_path="/prefix"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/prefix"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(not is_there(), reason="Chromium and ChromeDriver are not installed")
def test_the_page_sends_a_request_behind_a_path_prefix(url: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as browser:
        wait = WebDriverWait(browser, WAIT_SECONDS)
        browser.get(f"{url}/docs#/Predict/predict")
        wait.until(lambda page: page.find_element(By.CSS_SELECTOR, "button.execute")).click()
        status = ".live-responses-table .response-col_status"
        cell = wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, status)[1:])[0]
        assert cell.text.startswith("200")
        assert len(browser.find_elements(By.CSS_SELECTOR, ".opblock")) > 30
        assert browser.get_log("browser") == []
