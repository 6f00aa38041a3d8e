"""`python -m tests.integration.browser.screenshot FILE`: the picture of the page in the README."""

import sys
import tempfile
from pathlib import Path

from tests.integration.browser.conftest import chromium
from tests.integration.browser.drawings import digit
from tests.integration.browser.page import Page
from tests.support.server import ROOT, running


def main(file: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        running(ROOT / "models", Path(folder) / "log", {"WEB_CONCURRENCY": "1"}) as service,
        chromium(Path(folder) / "profile") as browser,
    ):
        browser.set_window_size(1100, 860)
        page = Page(browser, f"http://127.0.0.1:{service.port}")
        page.draw(digit(3))
        page.click("explain")
        page.wait_for("document.getAnimations().length === 0")
        file.write_bytes(browser.get_screenshot_as_png())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
