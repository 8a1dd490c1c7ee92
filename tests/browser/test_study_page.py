"""The study page of a head CT that the real program has read: the shipped model's answer, and its heat maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ichnode.config import Settings
from ichnode.steps.node import open_node
from ichnode.web.passwords import hash_password
from ichnode.web.server import WebServer
from ichnode.worklist import accounts
from tests.browser.conftest import BLEEDS_ML, SCREENSHOTS, Answered
from tests.chromium import opened
from tests.web.study.reader import Reader
from tests.web.window import PASSWORD

pytestmark = [pytest.mark.interop, pytest.mark.slow]
NAME = "dr.lind"


def test_what_the_node_has_answered_is_on_its_page(answered: Answered, component: Callable[[str, str], str]) -> None:
    settings = Settings.model_validate({"node": {"data": str(answered.data)}, "web": {"port": 0}})
    node = open_node(settings, "pages")
    with node.worklist.write() as tx:
        accounts.add(tx, node.now(), NAME, "radiologist", hash_password(PASSWORD))
    server = WebServer(node)
    server.start()
    try:
        for scheme in ("dark", "light"):
            _look(server.address, component("chromium", "chromium"), scheme, SCREENSHOTS)
    finally:
        server.stop()
        node.worklist.dispose()


def _look(address: str, chromium: str, scheme: str, pictures: Path) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    with opened(chromium) as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1000}, color_scheme=scheme)
        somebody = Reader(page, address)
        somebody.sign_in(NAME)
        somebody.open()
        expect(page.locator("#answer-title")).to_have_text("Intracranial hemorrhage suspected")
        expect(page.locator(".kinds")).to_contain_text(next(iter(BLEEDS_ML)))
        expect(somebody.part("heat-of")).to_contain_text("heat map: ")
        delivered = page.get_by_role("region", name="Answers", exact=True)
        expect(delivered).to_contain_text("pacs: delivered")
        somebody.press("k")
        expect(somebody.part("wait")).to_have_text("")
        page.wait_for_function("() => [...document.querySelectorAll('[data-go]')].every((b) => b.dataset.drawn)")
        somebody.canvas()
        page.screenshot(path=pictures / f"study-{scheme}.png")
        assert somebody.faults == []
