"""The page as a person meets it."""

from typing import Any

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.service.browser.drawings import Strokes

_PATIENCE_SECONDS = 10


class Page:
    """The page, and what a person does with it and sees on it."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self.browser = browser
        self.url = url
        browser.get(url)

    def part(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return self.part(name).text

    def wait_for(self, condition: str) -> None:
        """Wait until a condition in JavaScript holds."""
        WebDriverWait(self.browser, _PATIENCE_SECONDS, 0.02).until(
            lambda browser: browser.execute_script(f"return {condition}"), condition
        )

    def draw(self, strokes: Strokes, pointer: str = "mouse") -> None:
        """Draw by a mouse, a pen or, with "touch", a finger."""
        sheet = self.part("drawing")
        side = sheet.size["width"]
        actions = ActionBuilder(self.browser, mouse=PointerInput(pointer, pointer), duration=0)
        for stroke in strokes:
            for step, (x, y) in enumerate(stroke):
                at = round((x - 0.5) * side), round((y - 0.5) * side)
                actions.pointer_action.move_to(sheet, *at)
                if step == 0:
                    actions.pointer_action.pointer_down()
            actions.pointer_action.pointer_up()
        actions.perform()

    def drop(self, data: bytes, content_type: str, name: str = "digit") -> None:
        event = "new DragEvent('drop', { dataTransfer: given, bubbles: true })"
        self._give(event, data, content_type, name)

    def paste(self, data: bytes, content_type: str, name: str = "digit") -> None:
        event = "new ClipboardEvent('paste', { clipboardData: given, bubbles: true })"
        self._give(event, data, content_type, name)

    def _give(self, event: str, data: bytes, content_type: str, name: str) -> None:
        self.browser.execute_script(
            f"""
            const [bytes, type, name] = arguments;
            const given = new DataTransfer();
            given.items.add(new File([new Uint8Array(bytes)], name, {{ type }}));
            document.getElementById("drawing").dispatchEvent({event});
            """,
            list(data),
            content_type,
            name,
        )

    def read(self) -> str:
        """Wait for the answer about what is drawn, and give its label."""
        self.settle()
        return self.text("label")

    def settle(self) -> None:
        """Wait until no answer is due."""
        self.wait_for("document.getElementById('answer').ariaBusy === 'false'")

    def console(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.browser.get_log("browser")
        return messages
