"""The viewer in a real browser: what is painted, what is said, what hands and keys do."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect

from ichnode.core.feedback import Feedback, Label
from ichnode.core.windows import BONE, BRAIN, SUBDURAL, Window
from ichnode.dicom.pixels import read_hounsfield
from ichnode.worklist import feedback, schema
from tests.browser.axe import AXE, serious_findings
from tests.conftest import missing
from tests.made import rows
from tests.peers import wait_until
from tests.published import NotFetchedError
from tests.web.study.answered import HOT, KEY, answer, renamed

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def hounsfield(files, number):
    """A slice by its number, from 1."""
    return read_hounsfield(files[number - 1])[0][0]


def painted(hu, window):
    """Greys by the definition (PS3.3 C.11.2.1.3.2), a half rounded up."""
    grey = np.floor(np.clip((hu.astype(float) - window.lowest) / window.width, 0, 1) * 255 + 0.5)
    return grey.astype(np.uint8)[..., None].repeat(3, 2)


def test_the_canvas_shows_each_hounsfield_unit_in_its_window_to_the_last_grey(reader, files):
    somebody = reader()
    somebody.open()
    somebody.turn_to(9)
    somebody.press("9")  # one pixel on one pixel
    for key, window in (("1", BRAIN), ("2", SUBDURAL), ("3", BONE), ("4", Window(40, 40))):
        somebody.press(key)
        expect(somebody.part("wl")).to_have_text(f"L {window.level:g}  W {window.width:g}")
        np.testing.assert_array_equal(somebody.middle(256, 256), painted(hounsfield(files, 9), window), key)
    somebody.part("level").fill("-300")
    somebody.part("width").fill("1500")
    somebody.part("width").press("Enter")
    np.testing.assert_array_equal(somebody.middle(256, 256), painted(hounsfield(files, 9), Window(-300, 1500)))
    assert somebody.faults == []


def test_what_lies_under_the_pointer_and_under_the_cross_is_said_in_hounsfield_units(reader, files):
    somebody = reader()
    somebody.open()
    somebody.turn_to(20)
    somebody.press("9")
    box = somebody.part("canvas").bounding_box()
    hu = hounsfield(files, 20)
    left, top = box["x"] + (box["width"] - 255) // 2, box["y"] + (box["height"] - 255) // 2
    for row, column in ((128, 128), (60, 100), (5, 5)):
        somebody.page.mouse.move(left + column + 0.5, top + row + 0.5)
        expect(somebody.part("hu")).to_have_text(f"{hu[row, column]} HU")
    somebody.press("x", "ArrowLeft", "Shift+ArrowUp")
    expect(somebody.part("hu")).to_have_text(f"{hu[118, 127]} HU")


def test_wheel_drag_touch_pad_and_strip_scroll_and_a_drag_windows(reader):
    somebody = reader()
    somebody.open()
    expect(somebody.part("number")).to_have_text(f"{KEY + 1} / 32")  # the best key slice comes first
    stage = somebody.part("stage").bounding_box()
    middle = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    somebody.page.mouse.move(*middle)
    somebody.page.mouse.wheel(0, 120)
    expect(somebody.part("number")).to_have_text(f"{KEY + 2} / 32")
    somebody.page.mouse.wheel(0, -120)
    expect(somebody.part("number")).to_have_text(f"{KEY + 1} / 32")
    for _ in range(6):
        somebody.page.mouse.wheel(0, 10)  # a touch pad: 60 pixels are a slice
    expect(somebody.part("number")).to_have_text(f"{KEY + 2} / 32")
    strip = somebody.page.locator("[data-strip=subdural]")
    width = strip.bounding_box()["width"]
    strip.click(position={"x": width * 20.5 / 32, "y": 5})
    expect(somebody.part("number")).to_have_text("21 / 32")
    expect(somebody.page.locator("[data-score]").nth(4)).to_have_text("0.60")
    somebody.page.mouse.move(*middle)
    somebody.page.mouse.down()
    somebody.page.mouse.move(middle[0] + 40, middle[1] + 20, steps=4)
    somebody.page.mouse.up()
    expect(somebody.part("width")).not_to_have_value("80")
    assert int(somebody.part("width").input_value()) > 80 and int(somebody.part("level").input_value()) > 40
    assert somebody.page.get_by_label("Brain").is_checked() is False
    somebody.page.get_by_role("button", name=f"Image {KEY + 1} IPH").click()
    expect(somebody.part("number")).to_have_text(f"{KEY + 1} / 32")


def test_the_heat_map_lies_over_the_slices_that_have_one_and_can_be_made_fainter_or_hidden(reader, files):
    somebody = reader()
    somebody.open()
    somebody.press("9")
    expect(somebody.part("heat-of")).to_have_text("heat map: any")
    plain = painted(hounsfield(files, KEY + 1), BRAIN).astype(int)
    wait_until(lambda: np.ptp(somebody.middle(256, 256), axis=2).max() > 60, 20, "colours")
    full = somebody.middle(256, 256).astype(int)
    spot, far = (slice(118, 138), slice(75, 95)), (slice(0, 256), slice(180, 256))
    assert np.abs(full - plain)[far].max() <= 1, "where there is no activation nothing is hidden"
    somebody.part("opacity").fill("20")
    faint = somebody.middle(256, 256).astype(int)
    assert 0 < np.abs(faint - plain)[spot].mean() < 0.5 * np.abs(full - plain)[spot].mean()
    somebody.part("stage").focus()
    somebody.press("h")
    expect(somebody.part("heat-of")).to_have_text("heat map hidden (H)")
    np.testing.assert_array_equal(somebody.middle(256, 256), plain)
    somebody.press("h")
    somebody.turn_to(HOT[-1] + 2)
    expect(somebody.part("heat-of")).to_have_text("")


def test_from_sign_in_to_sign_off_by_the_keyboard_alone(reader, study):
    somebody = reader()
    somebody.go("/studies/1")
    somebody.wait_shown()
    expect(somebody.part("stage")).to_be_focused()
    somebody.press("k")
    expect(somebody.part("number")).not_to_have_text(f"{KEY + 1} / 32")
    somebody.press("2", "End", "?")
    expect(somebody.page.get_by_role("dialog")).to_be_visible()
    somebody.press("Escape")
    expect(somebody.part("number")).to_have_text("32 / 32")
    tab_to(somebody, "Sign off as read")
    somebody.press("Enter")
    expect(somebody.page.locator("#reading")).to_contain_text("Read by radiologist")
    tab_to(somebody, "agrees")
    somebody.press("ArrowRight")  # to Disagree
    tab_to(somebody, "Teach")
    somebody.press("Enter")
    expect(somebody.page.locator("#teach")).to_contain_text("radiologist disagrees")
    with study.worklist.read() as tx:
        (known,) = feedback.taught(tx)
    assert known.truth.scan["any"] is False
    assert rows(study.worklist, schema.studies)[0]["read_by"] == "radiologist"
    assert somebody.number == 32, "the slice stayed where it was"
    assert somebody.faults == []


def tab_to(somebody, what):
    """Press Tab until the focus is on a control of this name or words."""
    for _ in range(60):
        somebody.press("Tab")
        here = somebody.page.evaluate("() => document.activeElement.name || document.activeElement.textContent.trim()")
        if here == what:
            return
    raise AssertionError(f"Tab does not lead to {what!r}")


def test_a_class_and_a_slice_are_taught_and_can_be_changed(reader, study):
    somebody = reader()
    somebody.open()
    page = somebody.page
    page.get_by_label("✓ Agree").check()
    page.get_by_text("Say more").click()
    page.get_by_label("epidural: not there").check()
    somebody.turn_to(7)
    page.get_by_label("Is or is not on this slice").select_option("no")
    page.get_by_role("button", name="Add").click()
    somebody.turn_to(21)
    page.get_by_label("Is or is not on this slice").select_option("yes")
    page.get_by_label("Class on this slice").select_option("subdural")
    page.get_by_role("button", name="Add").click()
    page.get_by_label("Comment").fill("Thin, along the falx.")
    page.get_by_role("button", name="Teach").click()
    expect(page.locator("#teach")).to_contain_text("radiologist agrees")
    with study.worklist.read() as tx:
        (known,) = feedback.taught(tx)
    order = [tuple(key) for key in rows(study.worklist, schema.results)[0]["outcome"]["order"]]
    assert known.truth.scan == {"any": True, "subdural": True, "epidural": False}
    assert known.truth.slices[order[6]]["any"] is False and known.truth.slices[order[20]]["subdural"] is True
    page.get_by_role("button", name="Remove this mark").first.click()
    page.get_by_role("button", name="Say it anew").click()
    expect(page.locator("#teach")).to_contain_text("What was said before (1)")
    page.get_by_role("button", name="Take back").click()
    expect(page.locator("#teach")).to_contain_text("What was said before (2)")
    assert somebody.faults == []


def test_two_people_at_once_see_what_the_other_does(reader, study):
    first, second = reader(), reader("administrator")
    first.open()
    second.open()
    second.page.get_by_text("Say more").click()
    second.page.get_by_label("Comment").focus()
    first.page.get_by_role("button", name="Sign off as read").click()
    expect(second.page.locator("#reading")).to_contain_text("Read by radiologist")
    expect(second.page.locator("#said")).to_have_text("Read by radiologist.")
    expect(second.page.get_by_label("Comment")).to_be_focused()
    second.page.get_by_role("button", name="Mark as unread").click()
    expect(first.page.get_by_role("button", name="Sign off as read")).to_be_visible()


def test_an_answer_that_comes_while_one_looks_is_told_and_has_to_be_seen(reader, study, files, tiny_bundle, tmp_path):
    somebody = reader()
    somebody.open()
    expect(somebody.page.locator("html[data-live=yes]")).to_be_attached()
    answer(study, study.now, [one_more(files[-1], tmp_path)], tiny_bundle, positive=False)
    told = somebody.page.get_by_text("A newer answer came while you look.")
    expect(told).to_be_visible()
    somebody.page.get_by_role("button", name="Sign off as read").click()
    expect(somebody.page.locator("#said")).to_contain_text("A newer answer came meanwhile")
    assert rows(study.worklist, schema.studies)[0]["read_by"] is None
    somebody.page.get_by_role("link", name="Show it").click()
    expect(somebody.page.locator("#answer-title")).to_have_text("No intracranial hemorrhage detected")
    somebody.wait_shown()
    expect(somebody.part("number")).to_contain_text("/ 33")
    expect(somebody.page.get_by_role("region", name="Answers", exact=True)).to_contain_text("superseded")


def one_more(file, folder):
    """A late slice above the last one."""
    ds = pydicom.dcmread(file)
    x, y, z = ds.ImagePositionPatient
    ds.ImagePositionPatient, ds.InstanceNumber = [x, y, z + 5], int(ds.InstanceNumber) + 1
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.1"[-64:]
    ds.save_as(folder / "late.dcm")
    return folder / "late.dcm"


def test_two_large_screens_show_slices_answer_and_journal_at_once_and_a_smaller_one_covers_nothing(reader):
    somebody = reader(width=3840, height=1080)
    somebody.open()
    for part in ("#viewer", "#answer-title", "#reading-title", "#teach-title", "#journal-title"):
        expect(somebody.page.locator(part)).to_be_in_viewport()
    assert somebody.page.evaluate("document.documentElement.scrollWidth") == 3840
    somebody.page.set_viewport_size({"width": 1440, "height": 900})
    somebody.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    viewer, below = (somebody.page.locator(part).bounding_box() for part in ("#viewer", ".below"))
    assert viewer["y"] + viewer["height"] <= below["y"]


def test_on_a_phone_a_finger_scrolls_two_zoom_and_nothing_is_cut_off(reader):
    somebody = reader(width=360, height=740, has_touch=True, is_mobile=True)
    somebody.open()
    assert somebody.page.evaluate("() => document.documentElement.scrollWidth") <= 360
    expect(somebody.page.get_by_label("Scroll", exact=True)).to_be_checked()
    stage = somebody.part("stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = somebody.page.context.new_cdp_session(somebody.page)

    def fingers(kind, *points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [
            {"x": px, "y": py, "id": index} for index, (px, py) in enumerate(points)]})  # fmt: skip

    fingers("touchStart", (x, y))
    for step in range(1, 7):
        fingers("touchMove", (x, y + 6 * step))
    fingers("touchEnd")
    expect(somebody.part("number")).to_have_text(f"{KEY + 4} / 32")
    fingers("touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 7):
        fingers("touchMove", (x - 30 - 6 * step, y), (x + 30 + 6 * step, y))
    fingers("touchEnd")
    expect(somebody.part("zoom")).not_to_have_text("")
    assert float(somebody.part("zoom").text_content()[:-1]) > 1.5
    assert somebody.faults == []


def test_strings_of_dicom_do_nothing_in_a_browser(reader, study, files, tiny_bundle, tmp_path):
    evil = '"><img src=x onerror=window.broken=1><script>window.broken=2</script>'
    spoiled = renamed(
        files, tmp_path / "evil", PatientName=evil, StudyDescription=evil, SeriesDescription=f"HEAD {evil}"
    )
    answer(study, study.now, spoiled, tiny_bundle)
    somebody = reader()
    somebody.open("/studies/2")
    expect(somebody.page.get_by_role("heading", level=1)).to_contain_text("<img src")
    assert somebody.page.evaluate("() => window.broken") is None
    assert somebody.faults == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_nothing_serious_keeps_anybody_from_using_the_pages(reader, study, scheme):
    try:
        AXE.folder()
    except NotFetchedError as absent:
        missing(str(absent))
    with study.worklist.write() as tx:
        feedback.give(tx, study.now(), "radiologist", 1, Feedback(False, (Label("any", False),), "No blood."))
    somebody = reader(color_scheme=scheme)
    somebody.open()
    somebody.page.get_by_text("Say more").click()
    assert serious_findings(somebody.page) == []
    somebody.part("stage").focus()
    somebody.press("?")
    assert serious_findings(somebody.page) == []
    somebody.go("/agreement")
    assert serious_findings(somebody.page) == []
