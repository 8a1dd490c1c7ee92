"""People in front of the worklist in a real browser, on a morning with studies in every state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from ichnode.steps.node import Node
from ichnode.web.server import WebServer
from tests.web.window import Window


class Somebody(Window):
    """A person at the worklist."""

    def lists(self, studies: int) -> None:
        """Wait for a page of so many studies, and for its scripts: a key that comes before them is lost."""
        expect(self.page.locator("#list a.open")).to_have_count(studies)
        self.wait_live()

    def names(self) -> list[str]:
        """The family names in the list, from the top."""
        return [text.split(",")[0] for text in self.page.locator("#list a.open").all_inner_texts()]


@pytest.fixture
def options() -> dict[str, Any]:
    return {"destinations": [{"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 11199}]}


@pytest.fixture
def somebody(morning: Node, served: WebServer, new_page: Callable[..., Page]) -> Callable[..., Somebody]:
    """``somebody("reader", width=360)`` → one who has signed in."""

    def come(role: str = "radiologist", width: int = 1280, height: int = 800, **more: Any) -> Somebody:
        one = Somebody(new_page(width, height, **more), served.address)
        one.sign_in(role)
        return one

    return come
