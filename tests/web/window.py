"""A window of a browser with somebody in front of it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, expect

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PASSWORD = "correct horse battery"
PATIENCE_MS = 90_000

_NODE_IS_AWAY = (
    "Failed to load resource",
    "net::",
    "htmx:sendError",
    "htmx:afterRequest",
    "Response Status Error Code",
)
"""What the console says where the node is away, or refuses: no fault of the page."""


class Window:
    """One window.

    Attributes
    ----------
    faults : list of str
        What scripts threw, and what the content security policy refused.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.faults: list[str] = []
        page.context.set_default_timeout(PATIENCE_MS)  # also for windows that this one opens
        expect.set_options(timeout=PATIENCE_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(sign in message.text for sign in _NODE_IS_AWAY):
            self.faults.append(message.text)

    def go(self, path: str) -> None:
        """Open a page of the node."""
        self.page.goto(f"{self.address}{path.lstrip('/')}")

    def sign_in(self, name: str) -> None:
        """Sign in with the keyboard alone, and come to the worklist."""
        self.go("/sign-in")
        self.type_in(name)
        self.page.get_by_role("heading", name="Worklist").wait_for()
        self.wait_live()

    def type_in(self, name: str) -> None:
        """Fill in the form of the sign-in page."""
        self.page.locator("[name=name]:focus").wait_for()
        self.page.keyboard.type(name)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")

    def wait_live(self) -> None:
        """Wait until the scripts of a page are at work and it hears news: what is done before that is lost."""
        self.page.locator("html[data-live=yes]").wait_for(state="attached")

    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
