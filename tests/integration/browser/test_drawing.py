import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.integration.browser.conftest import ROOT_PATH
from tests.integration.browser.drawings import digit, picture
from tests.integration.browser.page import Page
from tests.support.pictures import encode

pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser: WebDriver, url: str) -> Iterator[Page]:
    browser.get_log("browser")
    yield Page(browser, url)
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(
    ("path", "pointer"), [("", "mouse"), (f"{ROOT_PATH}/", "touch"), ("", "pen")]
)
def test_the_page_reads_what_is_drawn(
    browser: WebDriver, url: str, path: str, pointer: str
) -> None:
    page = Page(browser, f"{url}{path}")
    right = 0
    for label in range(10):
        right += page.draw(digit(label), pointer) == str(label)
        page.click("clear")
    assert right >= 9
    page.draw(digit(3), pointer)
    assert f"{path or '/'}predict" in page.text("code")
    shares = [bar.text for bar in page.browser.find_elements(By.CSS_SELECTOR, "#bars .share")]
    assert sum(float(share.strip("> %")) for share in shares) == pytest.approx(100, abs=0.6)


def test_strokes_are_undone_and_the_sheet_is_cleared(page: Page) -> None:
    assert page.draw(digit(4)) == "4"
    page.click("undo")
    page.wait_for_response()
    assert page.text("label") != "4"
    ActionChains(page.browser).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    page.wait_for_text("verdict", "Nothing drawn yet.")
    assert page.draw(digit(7)) == "7"
    page.click("clear")
    page.wait_for_text("verdict", "Nothing drawn yet.")


def test_pictures_are_dropped_pasted_chosen_and_sampled(page: Page, tmp_path: Path) -> None:
    page.give("drop", encode(picture(digit(5))))
    page.wait_for_text("label", "5")
    page.give("paste", encode(picture(digit(0))))
    page.wait_for_text("label", "0")
    file = tmp_path / "two.png"
    file.write_bytes(encode(picture(digit(2))))
    page.part("file").send_keys(str(file))
    page.wait_for_text("label", "2")
    page.click("clear")
    page.part("drawing").send_keys("s")
    page.wait_for("document.getElementById('label').textContent.trim() !== ''")


def test_errors_are_shown(page: Page) -> None:
    page.give("drop", encode(Image.new("L", (100, 100), 200)))
    page.wait_for_text("verdict", "blank")
    page.give("drop", b"no picture", "notes.txt")
    page.wait_for_text("error", "notes.txt is not an image")
    page.give("drop", encode(Image.new("1", (5000, 5000))))
    page.wait_for_text("error", "pixels")
    (message,) = page.browser.get_log("browser")
    assert "422" in message["message"]
    page.browser.execute_script("window.fetch = async () => { throw new TypeError('network'); }")
    page.draw(digit(1))
    assert page.text("error") == "The service does not answer."


def test_attributions_are_shown_in_colour(page: Page) -> None:
    def coloured_pixels() -> int:
        context = "document.getElementById('seen').getContext('2d')"
        script = f"return [...{context}.getImageData(0, 0, 28, 28).data]"
        red, green, *_ = np.array(page.browser.execute_script(script)).reshape(784, 4).T
        return int((red != green).sum())

    page.draw(digit(6))
    assert coloured_pixels() == 0
    page.click("explain")
    assert coloured_pixels() > 50
    page.click("explain")
    assert coloured_pixels() == 0


def test_the_code_that_is_shown_runs(page: Page) -> None:
    def code(language: str) -> str:
        page.click(language)
        return str(page.part("code").get_property("textContent"))

    page.draw(digit(9))
    assert subprocess.check_output([sys.executable, "-c", code("python")], text=True) == "9\n"
    curl = subprocess.check_output(["sh", "-c", code("curl")], stderr=subprocess.DEVNULL)
    assert json.loads(curl)["predictions"][0]["label"] == 9
    javascript = code("javascript").replace("console.log(", "return (")
    assert page.browser.execute_script(f"return (async () => {{{javascript}}})()") == 9
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    page.browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})
    page.click("copy")
    page.wait_for_text("copy", "Copied")
    copied = page.browser.execute_script("return navigator.clipboard.readText()")
    assert copied == page.part("code").get_property("textContent")


def test_every_control_has_a_name_and_is_reached_by_keyboard(page: Page) -> None:
    reached = set()
    for _ in range(14):
        ActionChains(page.browser).send_keys(Keys.TAB).perform()
        focused = page.browser.switch_to.active_element
        reached.add(focused.get_attribute("id") or focused.get_dom_attribute("href"))
    assert {"drawing", "sample", "file", "explain", "curl", "copy", "docs"} <= reached
    for element in page.browser.find_elements(By.CSS_SELECTOR, "button, input, canvas, a"):
        assert element.accessible_name, element.get_attribute("outerHTML")


def test_the_documentation_sends_a_request_behind_a_path_prefix(
    browser: WebDriver, url: str
) -> None:
    browser.get(f"{url}{ROOT_PATH}/docs#/Predict/predict")
    wait = WebDriverWait(browser, 20)
    wait.until(lambda page: page.find_element(By.CSS_SELECTOR, "button.execute")).click()
    status = ".live-responses-table .response-col_status"
    cell = wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, status)[1:])[0]
    assert cell.text.startswith("200")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".opblock")) > 30
    assert browser.get_log("browser") == []
