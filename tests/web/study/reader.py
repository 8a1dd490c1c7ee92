"""Somebody in front of the study page: what they do, and what they see."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Locator, Page, expect

FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
PATIENCE_MS = 45_000


class Reader:
    """One window of a browser.

    Attributes
    ----------
    faults : list of str
        What scripts threw, and what the content security policy refused.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self._address = page, address.rstrip("/")
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)

    def sign_in(self, name: str, password: str) -> None:
        self.page.goto(f"{self._address}/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self._address}/")

    def open(self, path: str = "/studies/1") -> None:
        """Open a study and wait until its first slice is shown."""
        self.page.goto(f"{self._address}{path}")
        self.wait_shown()

    def wait_shown(self) -> None:
        expect(self.page.locator("#viewer[data-ready=yes]")).to_be_attached()
        expect(self.part("wait")).to_have_text("")

    def part(self, name: str) -> Locator:
        """A part of the viewer by its name."""
        return self.page.locator(f"#viewer [data-viewer={name}]")

    @property
    def number(self) -> int:
        """Number of the slice that is shown, from 1."""
        return int((self.part("number").text_content() or "0").split("/")[0])

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, number: int) -> None:
        """Go to a slice by the keyboard, from the first one."""
        self.part("stage").focus()
        self.press("Home", *["ArrowDown"] * (number - 1))
        expect(self.part("number")).to_have_text(f"{number} / 32")
        expect(self.part("wait")).to_have_text("")

    def canvas(self) -> npt.NDArray[np.uint8]:
        """What is painted, without what lies over it: (height, width, 3)."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        url: str = self.part("canvas").evaluate("(canvas) => canvas.toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))

    def middle(self, rows: int, columns: int) -> npt.NDArray[np.uint8]:
        """The middle of what is painted."""
        seen = self.canvas()
        top, left = (seen.shape[0] - rows + 1) // 2, (seen.shape[1] - columns + 1) // 2
        return seen[top : top + rows, left : left + columns]
