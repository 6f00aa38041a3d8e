"""The page, and what a person does with it."""

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.integration.browser.drawings import Strokes

_DEADLINE_SECONDS = 10


class Page:
    """The page at a URL, opened in a browser."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def part(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return self.part(name).text

    def click(self, name: str) -> None:
        self.part(name).click()

    def wait_for(self, condition: str) -> None:
        """Wait until a condition in JavaScript holds."""
        WebDriverWait(self.browser, _DEADLINE_SECONDS, 0.02).until(
            lambda browser: browser.execute_script(f"return {condition}"), condition
        )

    def wait_for_text(self, name: str, text: str) -> None:
        self.wait_for(f"document.getElementById('{name}').textContent.includes('{text}')")

    def wait_for_response(self) -> None:
        self.wait_for("document.getElementById('answer').ariaBusy === 'false'")

    def draw(self, strokes: Strokes, pointer: str = "mouse") -> str:
        """Draw with a "mouse", a "pen" or a finger ("touch"); return the label that is shown."""
        sheet = self.part("drawing")
        side = sheet.size["width"]
        actions = ActionBuilder(self.browser, mouse=PointerInput(pointer, pointer), duration=0)
        for stroke in strokes:
            for step, (x, y) in enumerate(stroke):
                actions.pointer_action.move_to(
                    sheet, round((x - 0.5) * side), round((y - 0.5) * side)
                )
                if step == 0:
                    actions.pointer_action.pointer_down()
            actions.pointer_action.pointer_up()
        actions.perform()
        self.wait_for_response()
        return self.text("label")

    def give(self, event: str, data: bytes, name: str = "digit.png") -> None:
        """Send a file by an event, "drop" or "paste"."""
        self.browser.execute_script(
            """
            const [kind, bytes, name] = arguments;
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
            document.getElementById("drawing").dispatchEvent(kind === "drop"
              ? new DragEvent(kind, { dataTransfer: data, bubbles: true })
              : new ClipboardEvent(kind, { clipboardData: data, bubbles: true }));
            """,
            event,
            list(data),
            name,
        )
