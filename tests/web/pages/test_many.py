"""A hundred thousand studies in front of somebody: page by page, a search, a new positive on top."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from benchmarks.pages import STUDIES, fill
from tests.made import analysed_series, study_facts

pytestmark = [pytest.mark.interop, pytest.mark.slow]
FIRST = 1000


def test_a_hundred_thousand_studies(morning, somebody):
    fill(morning, FIRST)
    one = somebody()
    expect(one.page.locator("#list a.open")).to_have_count(50)
    top = one.names()
    one.page.context.add_init_script("window.print = () => { window.printed = true; }")
    with one.page.expect_popup() as opened:
        one.page.locator("#print").click()
    expect(opened.value.locator("a.open")).to_have_count(500)
    opened.value.wait_for_function("() => window.printed === true")
    opened.value.close()
    one.page.locator("#next").click()
    one.lists(50)
    assert not set(one.names()) & set(top), "another page"
    one.page.go_back()
    one.lists(50)
    assert one.names() == top
    one.page.fill("#text", f"patient {FIRST + STUDIES - 5}")
    one.page.keyboard.press("Enter")
    expect(one.page.locator("#list a.open")).to_have_count(1)
    one.page.go_back()
    one.lists(50)
    analysed_series(morning.worklist, morning.now, study_facts("new", patient_name="NEWCOMER^NORA"), 0.99)
    expect(one.page.locator("#list a.open").first).to_contain_text("NEWCOMER")
    assert one.faults == []
