"""People in front of the pages in a real browser, on a morning with studies in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ichnode.steps.node import Node
from ichnode.web.server import WebServer
from tests.browser.person import FLAGS
from tests.web.conftest import PASSWORD

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
PATIENCE_MS = 30_000


@dataclass
class Somebody:
    """A person with a browser window of their own.

    Attributes
    ----------
    faults : list of str
        What the page threw, and what its content security policy refused.
    """

    page: Page
    address: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Refused to" in message.text:
            self.faults.append(message.text)

    def sign_in(self, name: str) -> None:
        """With the keyboard alone."""
        self.page.goto(f"{self.address}sign-in")
        self.type_in(name)

    def type_in(self, name: str) -> None:
        self.page.locator("[name=name]:focus").wait_for()
        self.page.keyboard.type(name)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("heading", name="Worklist").wait_for()
        self.page.locator("html[data-live=yes]").wait_for(state="attached")  # its scripts are there

    def lists(self, studies: int) -> None:
        """Wait for a page of so many studies, and for its scripts: a key that comes before them is lost."""
        expect(self.page.locator("#list a.open")).to_have_count(studies, timeout=PATIENCE_MS)
        self.page.locator("html[data-live=yes]").wait_for(state="attached")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}{path.lstrip('/')}")

    def names(self) -> list[str]:
        """The family names in the list, from the top."""
        return [text.split(",")[0] for text in self.page.locator("#list a.open").all_inner_texts()]

    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))

    def keep(self, name: str) -> None:
        """Keep a picture of the page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.fixture
def options() -> dict[str, Any]:
    return {"destinations": [{"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 11199}]}


@pytest.fixture(scope="package")  # playwright takes one at a time
def browser(component: Callable[[str, str], str]) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=component("chromium", "chromium"), args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def somebody(morning: Node, served: WebServer, browser: Browser) -> Iterator[Callable[..., Somebody]]:
    """``somebody("reader", width=360)`` → one who has signed in."""
    contexts = []

    def come(role: str = "radiologist", width: int = 1280, height: int = 800, **more: Any) -> Somebody:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        contexts.append(context)
        one = Somebody(context.new_page(), served.address)
        one.sign_in(role)
        return one

    yield come
    for context in contexts:
        context.close()
