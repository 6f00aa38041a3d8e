"""The page in a real browser: drawn on by pointer events, as a mouse makes them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.service.browser.drawings import digit, picture
from tests.service.browser.page import Page


@pytest.fixture
def page(browser: WebDriver, url: str) -> Iterator[Page]:
    browser.get_log("browser")
    opened = Page(browser, url)
    yield opened
    assert opened.console() == []


def encoded(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_it_reads_what_is_drawn(page: Page) -> None:
    right = 0
    for label in range(10):
        page.draw(digit(label))
        right += page.read() == str(label)
        page.part("clear").click()
    assert right >= 9


@pytest.mark.parametrize("pointer", ["touch", "pen"])
def test_a_finger_and_a_pen_draw_too(page: Page, pointer: str) -> None:
    page.draw(digit(2), pointer)
    assert page.read() == "2"


def test_it_shows_what_the_service_saw_and_who_answered(page: Page) -> None:
    page.draw(digit(3))
    assert page.read() == "3"
    assert "Read as 3" in page.text("verdict")
    assert "mnist, version 1" in page.text("facts")
    assert page.text("facts").endswith(" ms")
    shares = [bar.text for bar in page.browser.find_elements(By.CSS_SELECTOR, "#bars .share")]
    assert sum(float(share.strip("> %")) for share in shares) == pytest.approx(100, abs=0.6)
    seen = page.browser.execute_script(
        "return [...document.getElementById('seen').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data].filter((_, index) => index % 4 === 0)"
    )
    ink = np.array(seen).reshape(28, 28)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert 19 <= rows[-1] - rows[0] + 1 <= 22  # scaled to 20 pixels
    assert ink.max() > 240
    assert abs(np.average(np.arange(28), weights=ink.sum(axis=0)) - 14) < 1
    assert columns[-1] - columns[0] + 1 < rows[-1] - rows[0] + 1


def test_a_stroke_is_answered_within_a_tenth_of_a_second(page: Page) -> None:
    page.draw(digit(8))
    page.settle()
    took = int(page.text("facts").removesuffix(" ms").split()[-1])
    assert took < 100


def test_undo_and_clear(page: Page) -> None:
    assert not page.part("undo").is_enabled()
    page.draw(digit(4))
    assert page.read() == "4"
    page.part("undo").click()
    page.settle()
    assert page.text("label") != "4"
    ActionChains(page.browser).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    page.settle()
    assert page.text("verdict") == "Nothing drawn yet."
    page.draw(digit(7))
    assert page.read() == "7"
    page.part("clear").click()
    page.settle()
    assert page.text("verdict") == "Nothing drawn yet."
    assert not page.part("clear").is_enabled()


def test_a_file_is_dropped_chosen_and_drawn_over(page: Page, tmp_path: Path) -> None:
    page.drop(encoded(picture(digit(5))), "image/png")
    page.wait_for("document.getElementById('label').textContent === '5'")
    file = tmp_path / "two.png"
    file.write_bytes(encoded(picture(digit(2))))
    page.part("file").send_keys(str(file))
    page.wait_for("document.getElementById('label').textContent === '2'")
    page.part("clear").click()
    page.settle()
    assert page.text("verdict") == "Nothing drawn yet."


def test_a_picture_is_pasted(page: Page) -> None:
    page.paste(encoded(picture(digit(0))), "image/png")
    page.wait_for("document.getElementById('label').textContent === '0'")


def test_a_blank_picture_is_told(page: Page) -> None:
    page.drop(encoded(Image.new("L", (100, 100), 200)), "image/png")
    page.wait_for("document.getElementById('verdict').textContent.startsWith('No ink')")
    assert page.read() == ""


def test_a_file_that_is_no_picture_is_told(page: Page) -> None:
    page.drop(b"no picture", "image/png", "notes.txt")
    page.wait_for("!document.getElementById('error').hidden")
    assert page.text("error") == "notes.txt is no picture that this browser can show."
    page.draw(digit(1))
    assert page.read() == "1"
    assert page.text("error") == ""


def test_a_sample_by_key(page: Page) -> None:
    page.part("drawing").send_keys("s")
    page.wait_for("document.getElementById('label').textContent.trim() !== ''")
    assert page.read() != ""


def test_a_scribble_is_not_asserted(page: Page) -> None:
    rng = np.random.default_rng(1)
    unsure = 0
    for _ in range(6):
        page.draw([[(float(x), float(y)) for x, y in rng.uniform(0.2, 0.8, (9, 2))]])
        page.settle()
        unsure += "unsure" in (page.part("answer").get_attribute("class") or "")
        assert ("Not sure" in page.text("verdict")) == (page.text("label") == "?")
        page.part("clear").click()
    assert unsure


def test_what_speaks_for_the_label_is_shown_in_colour(page: Page) -> None:
    page.draw(digit(6))
    page.settle()
    coloured = (
        "(() => { const d = document.getElementById('seen').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data; let n = 0; for (let i = 0; i < d.length; i += 4)"
        " n += d[i] !== d[i + 1]; return n; })()"
    )
    assert page.browser.execute_script(f"return {coloured}") == 0
    page.part("explain").click()
    assert page.part("explain").get_attribute("aria-pressed") == "true"
    assert page.browser.execute_script(f"return {coloured}") > 50
    assert "Orange pixels speak for the answer" in page.part("answer").text
    page.part("explain").click()
    assert page.browser.execute_script(f"return {coloured}") == 0


def code_of(page: Page, language: str) -> str:
    page.part(language).click()
    return str(page.part("code").get_property("textContent"))


def test_the_code_that_is_shown_runs(page: Page) -> None:
    page.draw(digit(9))
    assert page.read() == "9"
    python = subprocess.check_output([sys.executable, "-c", code_of(page, "python")], text=True)
    assert python == "9\n"
    curl = subprocess.check_output(["sh", "-c", code_of(page, "curl")], stderr=subprocess.DEVNULL)
    assert json.loads(curl)["predictions"][0]["label"] == 9
    javascript = code_of(page, "javascript").replace("console.log(", "return (")
    assert page.browser.execute_script(f"return (async () => {{{javascript}}})()") == 9


def test_the_code_is_copied(page: Page) -> None:
    page.browser.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": page.url},
    )
    page.draw(digit(1))
    page.settle()
    code = code_of(page, "python")
    page.part("copy").click()
    page.wait_for("document.getElementById('copy').textContent === 'Copied'")
    assert page.browser.execute_script("return navigator.clipboard.readText()") == code


def test_the_services_errors_are_shown(page: Page) -> None:
    error = "expected fewer requests at once, got this one while 32 wait: try again later"
    page.browser.execute_script(
        """
        window.unspoilt = window.fetch;
        window.fetch = async () =>
          new Response(JSON.stringify({ error: arguments[0] }), { status: 503 });
        """,
        error,
    )
    page.draw(digit(1))
    page.settle()
    assert page.text("error") == error
    assert page.text("verdict") == "No answer."
    page.browser.execute_script("window.fetch = async () => { throw new TypeError('network'); }")
    page.part("undo").click()
    page.draw(digit(1))
    page.settle()
    assert page.text("error") == "The service does not answer."
    page.browser.execute_script("window.fetch = window.unspoilt")
    page.part("clear").click()
    page.draw(digit(1))
    assert page.read() == "1"
    assert not page.part("error").is_displayed()


def test_a_file_that_the_service_refuses_is_explained(page: Page) -> None:
    page.drop(encoded(Image.new("1", (5000, 5000))), "image/png")
    page.wait_for("!document.getElementById('error').hidden")
    assert "expected an image of at most 16777216 pixels, got 5000x5000" in page.text("error")
    (message,) = page.console()
    assert "422" in message["message"]


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_every_width(page: Page, width: int) -> None:
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        assert page.browser.execute_script(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        sheet = page.part("drawing").size
        assert sheet["width"] == pytest.approx(sheet["height"], abs=2)
        assert sheet["width"] >= min(width - 40, 280)
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_is_reached_and_named_by_keyboard(page: Page) -> None:
    reached = []
    for _ in range(14):
        ActionChains(page.browser).send_keys(Keys.TAB).perform()
        reached.append(
            page.browser.execute_script(
                "const e = document.activeElement; return e.id || e.getAttribute('href')"
            )
        )
    assert {"drawing", "sample", "file", "explain", "curl", "copy", "/docs"} <= set(reached)
    unnamed = page.browser.execute_script(
        "return [...document.querySelectorAll('button, input, canvas, a, [role=tabpanel]')]"
        ".filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length"
        " || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML)"
    )
    assert unnamed == []
