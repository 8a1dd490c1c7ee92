"""What happens at the worklist while it is open, seen in Chromium."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from ichnode.web import events
from ichnode.web.server import WebServer
from ichnode.worklist import readings
from tests.made import series_row
from tests.web import ward

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def study_of(node, who: str) -> int:
    return series_row(node.worklist, ward.facts(who)).study_id


def test_a_positive_study_arrives_goes_to_the_top_and_the_reader_stays_where_they_are(morning, somebody):
    one = somebody(height=420)
    page = one.page
    held = page.locator(f"#study-{study_of(morning, 'novak')}")
    held.focus()
    top = f"document.getElementById('study-{study_of(morning, 'novak')}').getBoundingClientRect().top"
    before = page.evaluate(top)
    ward.positive(morning.worklist, morning.now, "fischer", 0.99)
    expect(page.locator("#list a.open").first).to_have_text("FISCHER, UWE", timeout=30_000)
    expect(page.locator("#said")).to_have_text("A positive study has arrived.")
    assert one.names()[:3] == ["FISCHER", "LIND", "OKAFOR"]
    assert one.focused() == f"study-{study_of(morning, 'novak')}"
    assert abs(page.evaluate(top) - before) < 2, "the row in focus has not moved on the screen"
    assert one.faults == []


def test_keys_alone_from_the_door_to_a_study_and_back(morning, somebody):
    one = somebody()
    page = one.page
    for key in ("j", "j", "k", "ArrowDown"):
        page.keyboard.press(key)
    assert one.focused() == f"study-{study_of(morning, 'okafor')}"
    page.keyboard.press("2")
    one.lists(1)
    assert one.names() == ["SILVA"]
    page.keyboard.press("0")
    one.lists(10)
    page.keyboard.press("/")
    page.keyboard.type("tanaka")
    page.keyboard.press("Enter")
    one.lists(1)
    assert "tanaka" not in page.url.lower()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    page.go_back()
    one.lists(1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.wait_for_url("**read=no*")
    assert one.faults == []


def test_what_one_has_read_goes_down_on_the_screen_of_the_other(morning, somebody):
    one, other = somebody("radiologist"), somebody("reader")
    top = study_of(morning, "lind")
    assert other.names()[0] == "LIND"
    with morning.worklist.write() as tx:
        readings.sign_off(tx, morning.now(), "radiologist", top, readings.latest_result(tx, top))
    for person in (one, other):
        expect(person.page.locator("#list a.open").first).to_have_text("OKAFOR, CHIDI", timeout=30_000)
        expect(person.page.locator(f"#row-{top}")).to_contain_text("read by radiologist")


def test_when_the_session_is_over_the_patients_leave_the_screen_and_signing_in_leads_back(
    morning, somebody, monkeypatch
):
    monkeypatch.setattr(events, "CHECK_EVERY_S", 0.2)
    one = somebody()
    one.go("/?status=positive")
    expect(one.page.locator("#list a.open")).to_have_count(3)
    morning.now.forward(1801)
    one.page.wait_for_url("**/sign-in?next=*", timeout=30_000)
    assert "LIND" not in one.page.content()
    one.type_in("radiologist")
    assert one.page.url.endswith("/?status=positive")


def test_the_node_restarts_under_an_open_page(morning, served, somebody):
    one = somebody()
    web = morning.settings.web.model_copy(update={"port": served.port})
    again = replace(morning, settings=morning.settings.model_copy(update={"web": web}))
    served.stop()
    one.page.locator("html[data-live=no]").wait_for(state="attached")
    assert one.names()[0] == "LIND", "what is there stays there"
    ward.positive(morning.worklist, morning.now, "fischer", 0.99)
    restarted = WebServer(again)
    restarted.start()
    try:
        expect(one.page.locator("#list a.open").first).to_have_text("FISCHER, UWE", timeout=30_000)
        one.page.locator("html[data-live=yes]").wait_for(state="attached")
    finally:
        restarted.stop()
    assert one.faults == []


def test_an_administrator_pauses_a_destination_and_lets_it_go_on(morning, somebody):
    one = somebody("administrator")
    one.go("/node")
    one.page.get_by_role("button", name="Pause pacs").click()
    expect(one.page.locator("#vitals")).to_contain_text("paused")
    one.page.get_by_role("button", name="Resume pacs").click()
    expect(one.page.get_by_role("button", name="Pause pacs")).to_be_visible()
    assert one.faults == []


def test_files_are_tried_without_leaving_the_page(morning, somebody, head_ct):
    one = somebody("reader")
    one.go("/rules")
    one.page.set_input_files("#files", sorted(head_ct.iterdir()))
    one.page.get_by_role("button", name="Try").click()
    expect(one.page.locator("#tried")).to_contain_text("would be analysed")
    assert one.faults == []
