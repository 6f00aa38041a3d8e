"""Headless Chromium, from Debian's packages `chromium` and `chromium-driver`, and the service."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.support.server import ROOT, running

ROOT_PATH = "/apps/digits"
_ARGUMENTS = "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --window-size=1200,1000"


@contextmanager
def chromium(profile: Path) -> Iterator[WebDriver]:
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (*_ARGUMENTS.split(), f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, Driver(shutil.which("chromedriver"))) as browser:
        yield browser


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "log"
    with running(ROOT / "models", log, {"WEB_CONCURRENCY": "1", "ROOT_PATH": ROOT_PATH}) as service:
        yield f"http://127.0.0.1:{service.port}"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and ChromeDriver are not installed")
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
