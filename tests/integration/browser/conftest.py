"""The browser, and the service with the shipped model."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.integration.browser.chromium import chromium, is_there
from tests.support.server import ROOT, running

ROOT_PATH = "/apps/digits"


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "log"
    with running(ROOT / "models", log, {"WEB_CONCURRENCY": "1", "ROOT_PATH": ROOT_PATH}) as service:
        yield f"http://127.0.0.1:{service.port}"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    if not is_there():
        pytest.skip("Chromium and ChromeDriver are not installed")
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
