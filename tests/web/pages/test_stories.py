"""What happens at the worklist while it is open, seen in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from ichnode.steps.register import active_digest
from ichnode.web import events
from ichnode.worklist import readings
from tests.made import analysed_series, series_row, study_facts
from tests.web import ward
from tests.web.pages.conftest import Somebody
from tests.web.pages.dropping import drop

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
    expect(page.locator("#list a.open").first).to_have_text("FISCHER, UWE")
    expect(page.locator("#said")).to_have_text("A positive study has arrived.")
    assert one.names()[:3] == ["FISCHER", "LIND", "OKAFOR"]
    assert one.focused() == f"study-{study_of(morning, 'novak')}"
    page.wait_for_function(f"Math.abs({top} - {before}) < 2")  # the row in focus stands where it stood on the screen
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
        expect(person.page.locator("#list a.open").first).to_have_text("OKAFOR, CHIDI")
        expect(person.page.locator(f"#row-{top}")).to_contain_text("read by radiologist")


def test_when_the_session_is_over_the_patients_leave_the_screen_and_signing_in_leads_back(
    morning, somebody, monkeypatch
):
    monkeypatch.setattr(events, "CHECK_EVERY_S", 0.2)
    one = somebody()
    one.go("/?status=positive")
    expect(one.page.locator("#list a.open")).to_have_count(3)
    morning.now.forward(1801)
    one.page.wait_for_url("**/sign-in?next=*")
    assert "LIND" not in one.page.content()
    one.type_in("radiologist")
    one.lists(3)
    assert one.page.url.endswith("/?status=positive")


def test_the_node_restarts_under_an_open_page(morning, served, somebody, restarted):
    one = somebody()
    served.stop()
    one.page.locator("html[data-live=no]").wait_for(state="attached")
    assert one.names()[0] == "LIND", "what is there stays there"
    ward.positive(morning.worklist, morning.now, "fischer", 0.99)
    with restarted():
        expect(one.page.locator("#list a.open").first).to_have_text("FISCHER, UWE")
        one.wait_live()
    assert one.faults == []


LISTENS = """
window.heard = { tones: 0, shown: [] };
window.AudioContext = class extends AudioContext {
  constructor() { super(); heard.audio = this; }
  createOscillator() { heard.tones += 1; return super.createOscillator(); }
};
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    this.addEventListener("show", () => heard.shown.push(`${title}: ${options.body}`));
  }
};
Object.defineProperty(document, "hidden", { get: () => window.isAway === true });  // headless ones are never hidden
"""


def test_a_sound_and_a_notification_tell_of_a_positive_study_to_whoever_wants_them(morning, somebody):
    one = somebody(permissions=["notifications"])
    page = one.page
    page.add_init_script(LISTENS)
    page.reload()
    one.lists(10)
    for name in ("sound", "notify"):
        page.locator(f"#{name}").click()
        expect(page.locator(f"#{name}")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("() => heard.tones === 2 && heard.audio.state === 'running'")  # what it will sound like
    page.evaluate("window.isAway = true")
    ward.positive(morning.worklist, morning.now, "fischer", 0.99)
    page.wait_for_function("() => heard.tones === 4 && heard.shown.length === 1")
    assert page.evaluate("heard.shown") == ["ichnode: A positive study has arrived."], "nobody is named"
    expect(page.locator("#list a.open").first).to_have_text("FISCHER, UWE")
    one.go("/node")
    one.wait_live()
    page.evaluate("window.isAway = true")
    ward.positive(morning.worklist, morning.now, "larsen", 0.98)
    page.wait_for_function("() => heard.tones === 2 && heard.shown.length === 1")  # on the node's page, too
    one.go("/")
    one.lists(12)
    page.evaluate("window.isAway = true")
    page.locator("#sound").click()
    page.locator("#notify").click()
    analysed_series(morning.worklist, morning.now, study_facts("third", patient_name="THIRD^ONE"), 0.985)
    expect(page.locator("#list a.open").nth(1)).to_have_text("THIRD, ONE")
    assert page.evaluate("[heard.tones, heard.shown.length]") == [0, 0], "off again"
    page.reload()
    one.lists(13)
    assert page.locator("#sound").get_attribute("aria-pressed") == "false"
    assert one.faults == []


def test_where_notifications_are_not_allowed_that_is_said(morning, somebody):
    one = somebody()
    one.page.locator("#notify").click()
    expect(one.page.locator("#said")).to_have_text("This browser does not allow notifications here.")
    expect(one.page.locator("#notify")).to_have_attribute("aria-pressed", "false")


def test_news_that_come_while_the_list_is_on_its_way_are_not_forgotten(morning, somebody):
    one = somebody()
    on_their_way = []

    def hold_the_first(route) -> None:
        if on_their_way:
            route.continue_()
        else:
            on_their_way.append((route, route.fetch()))

    one.page.route("**/worklist/list*", hold_the_first)
    ward.negative(morning.worklist, morning.now, "larsen")
    while not on_their_way:
        one.page.wait_for_timeout(50)
    ward.positive(morning.worklist, morning.now, "fischer", 0.99)
    expect(one.page.locator("#said")).to_have_text("A positive study has arrived.")
    ((route, answer),) = on_their_way
    assert "FISCHER" not in answer.text()
    route.fulfill(response=answer)
    expect(one.page.locator("#list a.open").first).to_have_text("FISCHER, UWE")


def test_a_click_opens_what_was_pressed_though_the_list_is_renewed_meanwhile(morning, somebody):
    one = somebody()
    wanted = study_of(morning, "lind")
    one.page.locator(f"#study-{wanted}").hover()
    one.page.mouse.down()
    ward.positive(morning.worklist, morning.now, "fischer", 0.99)
    expect(one.page.locator("#said")).to_have_text("A positive study has arrived.")
    one.page.mouse.up()
    one.page.wait_for_url(f"**/studies/{wanted}")


def test_a_second_page_of_the_same_browser_hears_the_news_from_the_first(morning, somebody):
    one = somebody()
    second = Somebody(one.page.context.new_page(), one.address)
    second.go("/?status=positive")
    second.lists(3)
    ward.positive(morning.worklist, morning.now, "fischer", 0.99)
    for person in (one, second):
        expect(person.page.locator("#list a.open").first).to_have_text("FISCHER, UWE")
    one.page.close()  # and now hears for itself
    ward.positive(morning.worklist, morning.now, "larsen", 0.98)
    expect(second.page.locator("#list a.open").nth(1)).to_have_text("LARSEN, IDA")
    assert second.faults == []


def test_an_administrator_is_asked_before_a_destination_is_paused_and_everything_is_tried_again(morning, somebody):
    one = somebody("administrator")
    page = one.page
    page.clock.install()
    one.go("/node")
    one.wait_live()
    page.get_by_role("button", name="Pause pacs").click()
    page.get_by_role("button", name="Try everything").click()
    assert page.url.endswith("/node") and page.locator("#sure-pause-pacs:invalid").count() == 1, "nobody said so"
    for name in ("pause-pacs", "retry"):
        page.locator(f"#sure-{name}").check()
    page.evaluate("document.getElementById('vitals').dataset.shown = 'before'")
    page.clock.fast_forward(6000)
    expect(page.locator("#vitals:not([data-shown])")).to_be_attached()  # the page has renewed itself
    expect(page.locator("#sure-retry")).to_be_checked()
    page.get_by_role("button", name="Pause pacs").click()
    expect(page.locator("#vitals")).to_contain_text("pacs is paused.")
    page.locator("#sure-retry").check()
    page.get_by_role("button", name="Try everything").click()
    expect(page.locator(".tiles")).to_contain_text("· 0 failed")
    page.get_by_role("button", name="Resume pacs").click()
    expect(page.get_by_role("button", name="Pause pacs")).to_be_visible()
    expect(page.locator("#sure-pause-pacs")).not_to_be_checked()
    assert one.faults == []


def test_an_administrator_is_asked_before_a_model_is_promoted_and_rolled_back(
    morning, challenger, tiny_bundle, somebody
):
    one = somebody("administrator")
    one.go("/node")
    one.wait_live()
    acts = (("Promote", challenger), ("Roll back", tiny_bundle.digest))
    for name, digest in acts:
        before = active_digest(morning)
        one.page.get_by_role("button", name=name).click()
        assert active_digest(morning) == before, "nobody said so"
        one.page.get_by_role("checkbox", name=f"to {name.lower()}").check()
        one.page.get_by_role("button", name=name).click()
        expect(one.page.locator("#models tr", has_text=digest[:12])).to_contain_text("● active")
        assert active_digest(morning) == digest
    assert one.faults == []


def test_a_folder_that_is_dropped_is_tried_without_leaving_the_page(morning, somebody, head_ct):
    one = somebody("reader")
    one.go("/rules")
    one.wait_live()
    drop(one.page, "main h1", [head_ct])  # beside the place for it: nothing happens, and the page stays
    drop(one.page, "#drop", [head_ct])
    expect(one.page.locator("#tried")).to_contain_text("would be analysed")
    expect(one.page.locator("#tried")).to_contain_text("32 slices")
    expect(one.page.locator("#chosen")).to_have_text("32 files")
    assert one.page.url.endswith("/rules")
    assert one.faults == []
