"""What happens to a page of a study, and to what was typed there, while the session or the node goes away."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from ichnode.web import events
from ichnode.worklist import schema
from tests.made import rows
from tests.web.study.answered import KEY

pytestmark = [pytest.mark.interop, pytest.mark.slow]
DRAFTS = "Object.keys(sessionStorage).filter((key) => key.includes('draft'))"
COMMENT = "Thin, along the falx."


def begin_to_teach(somebody) -> None:
    """Agree, mark the slice that is shown, write a comment, and send nothing."""
    page = somebody.page
    page.locator("[name=agrees][value=yes]").check()
    page.get_by_text("Say more").click()
    page.get_by_label("subdural: there", exact=True).check()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Comment").fill(COMMENT)


def expect_what_was_typed(page) -> None:
    expect(page.get_by_label("Comment")).to_have_value(COMMENT)
    expect(page.locator("[name=agrees][value=yes]")).to_be_checked()
    expect(page.get_by_label("subdural: there", exact=True)).to_be_checked()
    expect(page.locator("[data-marks] li")).to_contain_text(f"Image {KEY + 1}: hemorrhage")


def expect_that_it_can_be_sent(somebody, study) -> None:
    somebody.page.get_by_role("button", name="Teach").click()
    expect(somebody.page.locator("#said")).to_have_text("Kept. Thank you.")
    (given,) = rows(study.worklist, schema.feedback)
    assert given["comment"] == COMMENT
    assert len(rows(study.worklist, schema.feedback_labels)) == 2
    assert somebody.page.evaluate(DRAFTS) == []
    assert somebody.faults == []


def test_a_session_that_ends_leads_to_the_door_and_back_to_what_was_typed(study, reader, monkeypatch):
    monkeypatch.setattr(events, "CHECK_EVERY_S", 0.2)
    somebody = reader()
    somebody.open()
    somebody.wait_live()
    begin_to_teach(somebody)
    study.now.forward(1801)
    somebody.page.wait_for_url("**/sign-in?next=*")
    somebody.page.locator("[name=name]:focus").wait_for()
    assert "falx" not in somebody.page.content()
    somebody.type_in("radiologist")
    somebody.page.wait_for_url("**/studies/1")
    somebody.wait_shown()
    expect_what_was_typed(somebody.page)
    expect_that_it_can_be_sent(somebody, study)


def test_what_is_sent_after_the_session_has_ended_is_not_lost(study, reader):
    somebody = reader()
    somebody.open()
    begin_to_teach(somebody)
    study.now.forward(1801)
    somebody.page.get_by_role("button", name="Teach").click()
    somebody.page.wait_for_url("**/sign-in?next=*")
    somebody.type_in("radiologist")
    somebody.page.wait_for_url("**/studies/1")
    somebody.wait_shown()
    expect_what_was_typed(somebody.page)
    expect_that_it_can_be_sent(somebody, study)


def test_another_account_does_not_see_it_and_signing_out_forgets_it(study, reader):
    somebody = reader()
    somebody.open()
    begin_to_teach(somebody)
    somebody.page.context.clear_cookies()
    somebody.go("/sign-in?next=/studies/1")
    somebody.type_in("administrator")
    somebody.wait_shown()
    expect(somebody.page.get_by_label("Comment")).to_have_value("")
    somebody.page.get_by_role("button", name="Sign out").click()
    somebody.page.wait_for_url("**/sign-in*")
    assert somebody.page.evaluate(DRAFTS) == []


@pytest.mark.parametrize("status", [0, 503])
def test_a_node_that_restarts_gives_the_slices_and_takes_what_was_typed(study, served, reader, restarted, status):
    def fail(route):
        route.fulfill(status=status) if status else route.abort()

    somebody = reader()
    somebody.page.route("**/planes/*/0", fail)
    somebody.page.route("**/heat/**", fail)
    somebody.open()
    somebody.wait_live()
    begin_to_teach(somebody)
    somebody.part("stage").focus()
    somebody.press("Home")
    served.stop()
    somebody.page.locator("html[data-live=no]").wait_for(state="attached")
    expect(somebody.part("wait")).not_to_have_text("")
    somebody.page.get_by_role("button", name="Teach").click()
    expect(somebody.page.locator("#said")).to_contain_text("nothing was sent")
    expect_what_was_typed(somebody.page)
    somebody.page.unroute("**/planes/*/0")
    somebody.page.unroute("**/heat/**")
    with restarted():
        somebody.wait_live()
        somebody.wait_shown()
        somebody.part("stage").focus()
        somebody.press("k")
        expect(somebody.part("heat-of")).to_have_text("heat map: any")
        expect_that_it_can_be_sent(somebody, study)


def test_a_page_whose_slices_never_came_gets_them_when_the_node_is_back(study, served, reader, restarted):
    somebody = reader()
    somebody.page.route("**/stack", lambda route: route.abort())
    somebody.go("/studies/1")
    somebody.wait_live()
    expect(somebody.part("wait")).to_have_text("The node does not answer. It is tried again.")
    served.stop()
    somebody.page.locator("html[data-live=no]").wait_for(state="attached")
    somebody.page.unroute("**/stack")
    with restarted():
        somebody.wait_shown()
        assert somebody.faults == []


def test_whoever_writes_before_the_slices_are_there_goes_on_writing(study, reader):
    somebody = reader()
    held = []
    somebody.page.route("**/stack", lambda route: held.append(route))  # noqa: PLW0108 (playwright wants a function)
    somebody.go("/studies/1")
    somebody.wait_live()
    somebody.page.get_by_text("Say more").click()
    somebody.page.get_by_label("Comment").focus()
    somebody.press("k", "h")
    while not held:
        somebody.page.wait_for_timeout(50)
    (route,) = held
    route.continue_()
    somebody.wait_shown()
    somebody.press("1")
    expect(somebody.page.get_by_label("Comment")).to_have_value("kh1")
    expect(somebody.page.get_by_label("Comment")).to_be_focused()
