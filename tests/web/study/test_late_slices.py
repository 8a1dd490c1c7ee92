"""A study page after more slices came, or fewer came anew: what it says of the answer, and which image a mark is of."""

from __future__ import annotations

import re

import pydicom
import pytest
from playwright.sync_api import expect
from sqlalchemy import delete, update

from ichnode.core.findings import Warned
from ichnode.worklist import assembly, jobs, retractions, schema
from tests.made import analysed_series, claim, finish, not_analysed, rows, study_facts
from tests.steps.spooled import put, started
from tests.web.study.answered import KEY
from tests.web.study.test_page import PAGE, stack_of, words

FEEDBACK = f"{PAGE}/feedback"


def late_slice(node, files, tmp_path, below_mm=5.0):
    """One more slice of the series, below all others."""
    node.now.forward(60)
    ds = pydicom.dcmread(files[0])
    lowest = min((pydicom.dcmread(f, stop_before_pixels=True).ImagePositionPatient for f in files), key=lambda p: p[2])
    ds.ImagePositionPatient = [lowest[0], lowest[1], lowest[2] - below_mm]
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["late"])
    ds.InstanceNumber = 99
    ds.save_as(tmp_path / "late.dcm")
    put(node, tmp_path / "late.dcm")
    started(node)
    return str(ds.SOPInstanceUID)


def purge(node):
    for row in rows(node.worklist, schema.instances):
        node.spool.path(row["file"]).unlink()
    with node.worklist.write() as tx:
        tx.execute(delete(schema.instances))
        gone = {"state": "purged", "purged_at": node.now()}
        tx.execute(update(schema.series).values(gone))


def test_an_answer_that_slices_came_after_says_so_and_the_slices_are_there_with_the_scores_that_are_known(
    study, visitor, files, tmp_path
):
    visit = visitor("radiologist")
    before = stack_of(visit)
    late = late_slice(study, files, tmp_path)
    assert "More slices came after this answer; a new analysis is on its way." in words(visit.get(PAGE).text)
    facts = stack_of(visit)
    assert [one["sop_instance_uid"] for one in facts["slices"]].index(late) == 0
    assert [one["scores"] for one in facts["slices"]] == [None, *before["scores"]]
    assert facts["scores"] == [], "a program that takes them for all slices takes none"
    assert facts["keys"][0]["index"] == facts["first"] == KEY + 1
    assert facts["thresholds"] == before["thresholds"]
    shifted = [one["index"] - 1 for one in facts["heat"]["maps"]]
    assert shifted == [one["index"] for one in before["heat"]["maps"]]
    assert visit.get(facts["heat"]["address"]).content == visit.get(before["heat"]["address"]).content


def test_an_open_page_hears_of_late_slices_and_of_a_retraction(study, visitor, files, tmp_path):
    visit = visitor("radiologist")
    state = lambda: visit.get(f"{PAGE}/news").json()["state"]  # noqa: E731
    shown = re.search(r'data-state="([\d.]+)"', visit.get(PAGE).text)[1]
    assert state() == shown
    late_slice(study, files, tmp_path)
    grown = state()
    assert grown != shown
    with study.worklist.write() as tx:
        assert retractions.retract(tx, study.now(), [1], retractions.WRONG_RESULT, "")
    assert state() not in (shown, grown)
    assert visit.submit(f"{PAGE}/reading", seen="1", state=shown).status_code == 409
    assert visit.submit(f"{PAGE}/reading", seen="1", state=state()).status_code == 303


def test_a_program_that_does_not_say_which_state_it_saw_signs_off_nothing_that_changed(study, program, files, tmp_path):
    client, address = program("study.read", "study.sign"), f"/api/v1{PAGE}/reading"
    seen = {"seen": client.get(f"/api/v1{PAGE}").json()["latest_result"]}
    assert client.post(address, json=seen).status_code == 200
    assert client.delete(address).json() == {"done": True}
    late_slice(study, files, tmp_path)
    refused = client.post(address, json=seen)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "NEWER_RESULT")
    state = client.get(f"/api/v1{PAGE}").json()["state"]
    assert client.post(address, json={**seen, "state": state}).status_code == 200


def test_slices_whose_analysis_failed_can_be_looked_at(study, visitor, files, tmp_path):
    late = late_slice(study, files, tmp_path)
    (row,) = rows(study.worklist, schema.series)
    with study.worklist.write() as tx:
        (series,) = assembly.due_series(tx, study.now.forward(3600))
        assert assembly.close(tx, study.now(), series, "test", None, series.preference or {})
    job = claim(study.worklist, study.now)
    with study.worklist.write() as tx:
        jobs.fail(tx, study.now(), job, "broken", Warned("ANALYSIS_FAILED", "It failed."))
    visit = visitor("radiologist")
    assert "More slices came after this answer; the new analysis failed." in words(visit.get(PAGE).text)
    job = claim(study.worklist, study.now, "report")
    assert finish(study.worklist, study.now, job, not_analysed(job))
    facts = stack_of(visit)
    assert late in [one["sop_instance_uid"] for one in facts["slices"]]
    assert {one["scores"] is None for one in facts["slices"]} == {True}
    assert row["revision"] == 2


def test_a_mark_is_of_an_image_that_was_read_whatever_its_place_is_now(study, visitor, files, tmp_path):
    visit = visitor("radiologist")
    read = rows(study.worklist, schema.results)[0]["outcome"]["order"]
    purge(study)
    late = late_slice(study, files, tmp_path)
    assert [one["scores"] for one in stack_of(visit)["slices"]] == [None]
    for mark in (f"{late}:1:subdural:yes", "0:subdural:yes", f"{read[0][0]}:2:any:no", f"{read[0][0]}:1:any:maybe"):
        assert visit.submit(FEEDBACK, result="1", agrees="yes", mark=mark).status_code == 422, mark
    assert rows(study.worklist, schema.feedback) == []
    mark = f"{read[3][0]}:{read[3][1]}:subdural:yes"
    assert visit.submit(FEEDBACK, result="1", agrees="yes", mark=mark).status_code == 303
    assert rows(study.worklist, schema.feedback_labels)[-1]["sop_instance_uid"] == read[3][0]


def test_another_series_that_says_more_is_named(study, visitor):
    analysed_series(study.worklist, study.now, study_facts("two", "a"), 0.1)
    analysed_series(study.worklist, study.now, study_facts("two", "b"), 0.9)
    visit = visitor("reader")
    quiet, loud = (words(visit.get(f"/studies/2?series={number}").text) for number in (2, 3))
    assert "Another series of this study: ▲ Suspected" in quiet
    assert "Another series" not in loud


def test_scores_stay_when_the_images_go(study, visitor):
    purge(study)
    page = visitor("radiologist").get(PAGE).text
    assert "Images removed" in page
    assert "subdural 0.60 0.50" in words(page)
    assert "data-strip" not in page and "data-go" not in page


@pytest.mark.interop
@pytest.mark.slow
def test_a_reader_marks_the_image_that_is_seen_and_none_that_was_not_read(study, reader, files, tmp_path):
    late_slice(study, files, tmp_path)
    somebody = reader()
    somebody.open()
    page = somebody.page
    page.get_by_text("Say more").click()
    add = page.get_by_role("button", name="Add", exact=True)
    add.click()
    expect(page.locator("[data-marks] li")).to_contain_text(f"Image {KEY + 2}: hemorrhage")
    expect(page.locator("[data-go]").first).to_contain_text(str(KEY + 2))
    somebody.part("stage").focus()
    somebody.press("Home")
    expect(add).to_be_disabled()
    page.locator("[name=agrees][value=yes]").check()
    page.get_by_role("button", name="Teach", exact=True).click()
    expect(page.locator("#said")).to_have_text("Kept. Thank you.")
    (label,) = rows(study.worklist, schema.feedback_labels)
    assert label["sop_instance_uid"] == rows(study.worklist, schema.results)[0]["outcome"]["order"][KEY][0]
    assert somebody.faults == []
