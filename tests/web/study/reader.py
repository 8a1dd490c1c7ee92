"""Somebody in front of the study page: what they do, and what they see."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.web.window import Window


class Reader(Window):
    """A person at the page of a study."""

    def open(self, path: str = "/studies/1") -> None:
        """Open a study and wait until its first slice is shown."""
        self.go(path)
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

    def turn_to(self, number: int) -> None:
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
