"""A person at the viewer: opens a study, opens a series, looks. Headless Chromium, driven by playwright."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Locator, Page

from tests.chromium import opened

WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Without a graphics card."""
PATIENCE_MS = 120_000
"""For each thing to appear: a loaded machine with two cores, and WebGL in software."""


class Person:
    """Somebody who looks at one study in OHIF, for the first time.

    Attributes
    ----------
    faults : list of str
        What the page threw while it was open.
    """

    def __init__(self, page: Page, viewer: str, pictures: Path) -> None:
        self._page, self._viewer, self._pictures = page, viewer, pictures
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.set_default_timeout(PATIENCE_MS)

    def open_study(self, study_instance_uid: str) -> None:
        """Open the study, and leave the tour that OHIF offers to newcomers."""
        self._page.goto(f"{self._viewer}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self._page.get_by_text("Skip all").click()

    def open_anew(self) -> None:
        """Load the page once more; whoever has left the tour is not offered it again."""
        self._page.reload()

    def series(self, description: str) -> Locator:
        """Return the entry of the study's list whose text contains a SeriesDescription."""
        return self._page.locator("[data-cy^=study-browser-thumbnail]").filter(has_text=description)

    def open_series(self, description: str) -> None:
        """Open a series as one does: a double click on its entry."""
        self.series(description).dblclick()

    @property
    def viewport(self) -> Locator:
        """The part of the window where a series is shown."""
        return self._page.locator("[data-cy=viewport-pane]")

    @property
    def complaint(self) -> Locator:
        """What OHIF says in a corner when it fails."""
        return self._page.get_by_text("Something went wrong")

    def image(self) -> npt.NDArray[np.uint8]:
        """Return what the viewport shows on screen, with all that lies over it: (height, width, 3), uint8."""
        return _pixels(self.viewport.locator("canvas").screenshot())

    def scroll(self, slices: int) -> None:
        """Go so many slices on with the arrow keys; back where it is negative."""
        self.viewport.locator("canvas").click()
        for _ in range(abs(slices)):
            self._page.keyboard.press("ArrowDown" if slices > 0 else "ArrowUp")

    def keep(self, name: str) -> None:
        """Keep a picture of the whole window as `name`.png."""
        self._page.screenshot(path=self._pictures / f"{name}.png")


def _pixels(png: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@contextlib.contextmanager
def at_the_viewer(chromium: str, viewer: str, pictures: Path) -> Iterator[Person]:
    """Open a window of 1600 x 1000 pixels in a browser of its own, and close the browser in the end."""
    pictures.mkdir(parents=True, exist_ok=True)
    with opened(chromium, *WEBGL) as browser:
        yield Person(browser.new_page(viewport={"width": 1600, "height": 1000}), viewer, pictures)
