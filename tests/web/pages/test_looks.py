"""How the pages look and to whom they are of use: axe-core, narrow and wide screens, both themes, paper."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from playwright.sync_api import expect

from ichnode.core.feedback import Feedback, Label
from ichnode.worklist import associations, boots, deliveries, feedback, models, standings
from tests.browser.axe import AXE, serious_findings
from tests.conftest import missing
from tests.made import answer, claim, closed_series, finish, study_facts
from tests.peers import wait_until
from tests.published import NotFetchedError

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PAGES = {
    "worklist": "/", "node": "/node", "rules": "/rules", "api": "/api", "audit": "/node/audit",
    "agreement": "/agreement", "sign-in": "/sign-in",
}  # fmt: skip
FAMILIES = ("ABEL", "BAUER", "COSTA", "DUBOIS", "EGGER", "FONSECA", "GRECO", "HANSEN", "IVANOV", "JANSEN")
GIVEN = ("ANNA", "BRUNO", "CLARA", "DAVID", "EMMA", "FELIX", "GITTA", "HUGO", "IRIS", "JONAS")


@pytest.fixture
def lively(morning):
    """A node that has been at work: a worker, a scanner with a chart, sources."""
    with morning.worklist.write() as tx:
        boots.begin_boot(tx, morning.now(), "0.1.0")
        tx.exec_driver_sql("update boots set id = 'boot'")
        for aet, ending in (("CT2", "released"), ("CT7", "aborted")):
            opened = associations.open_association(tx, morning.now(), "boot", "192.0.2.5", aet)
            associations.end_association(tx, morning.now(), opened, ending)
        boots.worker_is(tx, morning.now(), "boot", "ready", "cpu")
        for digest, version in (("3f9a1c7be204" + "0" * 52, "1.1"), ("8d02c4a91e55" + "0" * 52, "1.2")):
            models.register(tx, morning.now(), digest, "ct-ich", version, "retrain")
        models.install(tx, morning.now(), "3f9a1c7be204" + "0" * 52, pinned=False)
        for name, success in (("pacs", morning.now()), ("archive", morning.now())):
            deliveries.close_circuit(tx, success, name)
    _scanned(morning, "CT2", 24, 33.0, 5.0)
    _scanned(morning, "CT7", 30, 31.5, 3.0, shift_hu=2.4)
    with morning.worklist.write() as tx:
        for number, result in enumerate(tx.exec_driver_sql("select id, verdict from results order by id").all()):
            if result.verdict == "not_analysed" or number % 3 == 2:
                continue
            labels = (Label("subdural", number % 2 == 0),) if result.verdict == "positive" else ()
            feedback.give(tx, morning.now(), "radiologist", result.id, Feedback(number % 5 != 0, labels))
    return morning


def _scanned(node, station: str, number: int, hu: float, spacing_mm: float, shift_hu: float = 0.0) -> None:
    """Negative, read and delivered studies of a scanner; the density of the last six is shifted."""
    chance = Random(station)
    for i in range(number):
        number = int(station[-1]) * 1000 + i
        study = study_facts(
            f"{station}{i}", patient_name=f"{FAMILIES[number % 10]}^{GIVEN[(number * 7 + i // 10) % 10]}",
            patient_id=f"{30000 + number}-B", patient_birth_date=f"19{30 + i % 60:02}0{1 + i % 9}1{i % 10}",
            patient_sex="FM"[i % 2], accession_number=f"ACC-{30000 + number}", study_date="20260228",
            study_time=f"{8 + i // 4:02}{15 * (i % 4):02}00", study_description="CT Head", station_name=station,
        )  # fmt: skip
        closed_series(node.worklist, node.now, study)
        job = claim(node.worklist, node.now)
        density = hu + chance.gauss(0, 0.25) + (shift_hu if i >= number - 6 else 0)
        measures = {"brain_hu": round(density, 2), "spacing_mm": round(spacing_mm + chance.gauss(0, 0.01), 3)}
        node.now.forward(19)
        outcome = replace(answer(job, 0.05 + 0.1 * chance.random()), measures=measures)
        assert finish(node.worklist, node.now, job, outcome, ())
    with node.worklist.write() as tx:
        tx.exec_driver_sql("update studies set read_at = first_seen_at, read_by = 'ada' where patient_id like '3%'")
        standings.refresh(tx, list(tx.exec_driver_sql("select id from studies").scalars()))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_page_can_be_used_by_everybody(lively, somebody, theme):
    try:
        AXE.folder()
    except NotFetchedError as absent:
        missing(str(absent))
    one = somebody("administrator", color_scheme=theme)
    found = {}
    for name, path in PAGES.items():
        if name == "sign-in":
            one.page.context.clear_cookies()
        one.go(path)
        expect(one.page.get_by_role("note")).to_contain_text("Research use only")
        one.keep(f"{name}-{theme}")
        if serious := serious_findings(one.page):
            found[name] = serious
    assert found == {}
    assert one.faults == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_opens_answers_or_refuses_can_be_used_by_everybody(lively, somebody, head_ct, tmp_path, theme):
    try:
        AXE.folder()
    except NotFetchedError as absent:
        missing(str(absent))
    one, found = somebody("reader", color_scheme=theme), {}
    one.page.keyboard.press("?")
    expect(one.page.get_by_role("dialog")).to_be_visible()
    found["keys"] = serious_findings(one.page)
    (tmp_path / "letter.txt").write_text("no DICOM")
    one.go("/rules")
    one.page.set_input_files("#files", [*sorted(head_ct.iterdir())[:2], tmp_path / "letter.txt"])
    one.page.get_by_role("button", name="Try").click()
    expect(one.page.locator("#tried")).to_contain_text("NOT_DICOM")
    found["rules"] = serious_findings(one.page)
    for path, said in (("/nowhere", "There is no such page."), ("/node/audit", "This needs the permission")):
        one.go(path)
        expect(one.page.get_by_role("heading", level=1)).to_contain_text(said)
        found[path] = serious_findings(one.page)
    one.page.context.clear_cookies()
    one.go("/sign-in")
    one.type_in("nobody")
    expect(one.page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    found["sign-in"] = serious_findings(one.page)
    assert not any(found.values()), found
    assert one.faults == []


BANNER_IS_ON_TOP = """() => {
  scrollTo(0, document.documentElement.scrollHeight);
  const banner = document.querySelector("[role=note]"), { top, left, width, height } = banner.getBoundingClientRect();
  return top === 0 && banner.contains(document.elementFromPoint(left + width / 2, top + height / 2));
}"""
BEHIND_THE_BANNER = """() => {
  if (document.activeElement === document.body) return false;  // the list renews itself at this moment
  const { top } = document.activeElement.getBoundingClientRect();
  return top < document.querySelector("[role=note]").getBoundingClientRect().bottom;
}"""
GOES_ON_BESIDE_ITSELF = """() => {
  const left = [...document.querySelectorAll("#list a.open")].map((link) => link.getBoundingClientRect().left);
  return left.length > 20 && left[0] < innerWidth / 2 && left.at(-1) > innerWidth / 2;
}"""


def test_every_page_fits_a_narrow_screen_and_the_banner_stays_in_sight(lively, somebody):
    try:
        AXE.folder()
    except NotFetchedError as absent:
        missing(str(absent))
    one = somebody("administrator", width=360, height=740)
    one.keep("worklist-narrow")
    wide, found, without = {}, {}, []
    for name, path in {**PAGES, "nowhere": "/nowhere"}.items():
        if name == "sign-in":
            continue
        one.go(path)
        if (width := one.page.evaluate("document.documentElement.scrollWidth")) > 360:
            wide[name] = width
        if not one.page.evaluate(BANNER_IS_ON_TOP):
            without.append(name)
        if serious := serious_findings(one.page):
            found[name] = serious
    assert (wide, without, found) == ({}, [], {})
    one.go("/")
    one.wait_live()
    one.page.locator("#list a.open").last.focus()
    for _ in range(8):
        one.page.keyboard.press("Shift+Tab")
        # Not at once: a list that renews itself puts the page back where it was a moment later.
        wait_until(lambda: not one.page.evaluate(BEHIND_THE_BANNER), 20, "what has the focus is in sight")
    one.page.context.clear_cookies()
    one.go("/sign-in")
    assert one.page.evaluate("document.documentElement.scrollWidth") == 360


def test_two_large_screens_side_by_side_are_used(lively, somebody):
    one = somebody("administrator", width=5120, height=1440)
    for name, path in PAGES.items():
        if name != "sign-in":
            one.go(path)
            assert one.page.evaluate("document.documentElement.scrollWidth") <= 5120, name
    one.go("/")
    expect(one.page.locator("#list a.open").first).to_be_in_viewport()
    one.page.wait_for_function(GOES_ON_BESIDE_ITSELF)
    expect(one.page.locator("thead tr.again")).to_be_visible()


def test_print_has_the_banner_and_the_list_and_no_buttons(morning, somebody):
    one = somebody()
    one.page.evaluate("window.print = () => { window.printed = true; }")
    one.page.locator("#print").click()
    assert one.page.evaluate("window.printed"), "no other page where this one is the whole list"
    one.page.emulate_media(media="print")
    expect(one.page.get_by_role("note")).to_have_css("display", "table-header-group")  # browsers print it on each sheet
    expect(one.page.locator("body")).to_have_css("display", "table")
    expect(one.page.locator(".studies")).to_be_visible()
    expect(one.page.locator("#filters")).to_be_hidden()
    expect(one.page.locator(".top nav")).to_be_hidden()
