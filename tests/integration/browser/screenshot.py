"""`python -m tests.service.browser.screenshot FILE`: the picture of the page in the README."""

import sys
import tempfile
from pathlib import Path

from tests.service.browser.chromium import chromium
from tests.service.browser.drawings import digit
from tests.service.browser.page import Page
from tests.service.server import ROOT, running


def main(file: Path) -> None:
    """Draw a digit, ask what speaks for it, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with (
            running(ROOT / "models", log, {"WEB_CONCURRENCY": "1"}) as service,
            chromium(Path(folder) / "profile") as browser,
        ):
            browser.set_window_size(1100, 860)
            page = Page(browser, f"http://127.0.0.1:{service.port}")
            page.draw(digit(3))
            page.settle()
            page.part("explain").click()
            page.wait_for("document.getAnimations().length === 0")
            file.write_bytes(browser.get_screenshot_as_png())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
