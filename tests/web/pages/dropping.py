"""Drops files and folders on a page as a person does: by the browser's own drag, which no script can make up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page


def drop(page: Page, place: str, paths: Sequence[Path]) -> None:
    """Drag files or folders of this machine over a place of the page, and let them go."""
    box = page.locator(place).bounding_box()
    assert box is not None
    browser = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        browser.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})
