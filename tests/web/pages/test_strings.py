"""Strings that attack: what scanners, peers, archives, destinations, models and files say is text in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from ichnode.core.alerts import Rule
from ichnode.core.feedback import Feedback
from ichnode.core.findings import Warned
from ichnode.core.wanted import Listed
from ichnode.steps.node import FETCHING, LOOKING, SOURCE
from ichnode.worklist import (
    alarms,
    assembly,
    associations,
    boots,
    deliveries,
    feedback,
    models,
    notices,
    retrievals,
    schema,
)
from tests.made import analysed_series, head_slices, series_row, study_facts, take
from tests.web.pages.dropping import drop
from tests.web.study.answered import renamed

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ATTACK = "\"'><img src=x onerror=window.hacked=1><script>window.hacked=1</script>${7*7}{{7*7}}"
AS_TEXT = "<script>window.hacked=1</script>${7*7}{{7*7}}"
PACS = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 11199}


@pytest.fixture
def options() -> dict[str, Any]:
    source = {"aet": "PACS", "host": "192.0.2.7", "port": 104, "retrieve": "c-get"}
    return {"destinations": [PACS], "source": source}


def assert_text(one, path: str, times: int) -> None:
    """The page shows the string so many times at least, and nothing of it was made a part of the page."""
    one.go(path)
    one.page.wait_for_load_state("load")
    assert one.page.evaluate("window.hacked") is None, path
    assert one.page.locator("img[src=x]").count() == 0, path
    assert one.page.locator("main").inner_text().count(AS_TEXT) >= times, path
    assert one.faults == []


def test_what_peers_archives_and_models_say_on_the_pages_of_the_administrator(morning, somebody):
    node, now = morning, morning.now()
    with node.worklist.write() as tx:
        boot = boots.begin_boot(tx, now, "1")
        associations.open_association(tx, now, boot, ATTACK, ATTACK)
        alarms.raise_alarm(tx, now, alarms.SILENT_SENDER, ATTACK, now)
        for name in ("pacs", SOURCE, LOOKING, FETCHING):
            deliveries.break_circuit(tx, now, name, ATTACK, 60)
        retrievals.list_new(tx, now, Listed(ATTACK, ATTACK, images=34), now, 0)
        one = retrievals.claim(tx, now, "boot", [], [])
        retrievals.give_up(tx, now, one, retrievals.Here(), Warned("ARCHIVE_GAVE_LESS", ATTACK))
        models.register(tx, now, "0" * 64, ATTACK, ATTACK, ATTACK)
        tx.execute(schema.results.update().values(model_name=ATTACK, model_version=ATTACK, model_digest="<i>"))
        positive = tx.exec_driver_sql("select id from results where verdict = 'positive'").scalar()
        feedback.give(tx, now, "radiologist", positive, Feedback(True))
    administrator = somebody("administrator")
    assert_text(administrator, "/node", 4 + 3 + 2 + 2 + 1 + 2)
    assert_text(administrator, "/node/audit", 0)
    assert_text(administrator, "/agreement", 2)


def test_what_destinations_and_channels_answer_on_the_page_of_a_study(morning, somebody):
    job = analysed_series(morning.worklist, morning.now, study_facts("told"), 0.9)
    with morning.worklist.write() as tx:
        while notices.announce(tx, morning.now(), {"oncall": Rule()}, {}) is not None:
            pass
        tx.execute(schema.deliveries.update().values(state="failed", error=ATTACK))
    assert_text(somebody(), f"/studies/{job.study_id}", 2)


def test_what_stands_in_dropped_files_and_in_their_names(somebody, head_ct, tmp_path):
    files = sorted(head_ct.iterdir())
    strings = (
        "SeriesDescription", "StudyDescription", "ProtocolName", "BodyPartExamined", "ConvolutionKernel", "ImageType",
        "Manufacturer", "StationName", "ContrastBolusAgent", "PatientName", "ImageComments",
    )  # fmt: skip
    spoiled = dict.fromkeys(strings, ATTACK)
    (tmp_path / "folder").mkdir()
    renamed(files[:3], tmp_path / "folder" / "in a folder", **spoiled)
    for number, more in enumerate(({"Modality": ATTACK}, {"PhotometricInterpretation": ATTACK}, {"Rows": 0})):
        renamed(files[:1], tmp_path / f"other{number}", SeriesDescription=ATTACK, **more)
    name = ATTACK.partition("<script>")[0]
    (tmp_path / name).write_text("no DICOM")
    one = somebody("reader")
    one.go("/rules")
    one.page.wait_for_load_state("load")
    drop(one.page, "#drop", [tmp_path / "folder", *sorted(tmp_path.glob("other*")), tmp_path / name])
    expect(one.page.locator("#tried")).to_contain_text("TOO_FEW_SLICES")
    said = one.page.locator("#tried")
    expect(said).to_contain_text("NOT_DICOM")
    expect(said).to_contain_text(name)
    expect(said).to_contain_text(AS_TEXT)
    assert one.page.evaluate("window.hacked") is None
    assert one.page.locator("img[src=x]").count() == 0
    assert one.faults == []


def test_no_string_of_a_data_set_is_taken_for_anything_but_text(morning, somebody):
    strings = ("patient_name", "patient_id", "accession_number", "study_description", "station_name")
    hostile = study_facts("hostile", **dict.fromkeys(strings, ATTACK), patient_birth_date='"><b>', patient_sex="<i>")
    slices = head_slices(3, seed=hostile.series_instance_uid, series_description=ATTACK, manufacturer=ATTACK)
    take(morning.worklist, slices, morning.now(), hostile)
    with morning.worklist.write() as tx:
        row = series_row(morning.worklist, hostile)
        assert assembly.ignore(tx, morning.now(), row, "x", Warned("NOT_HEAD", f"It is {ATTACK}."), {}, False)
        boots.begin_boot(tx, morning.now(), "1")
        boot = tx.exec_driver_sql("select id from boots").scalar()
        associations.open_association(tx, morning.now(), str(boot), "192.0.2.9", "<script>x")
    for i in range(9):
        analysed_series(morning.worklist, morning.now, study_facts(f"s{i}", station_name=ATTACK), 0.2)
    one = somebody("administrator")
    study = series_row(morning.worklist, hostile).study_id
    for path in ("/", "/?status=not_analysed", f"/studies/{study}", "/node", "/node/audit"):
        one.go(path)
        one.page.wait_for_load_state("load")
        assert one.page.evaluate("window.hacked") is None, path
        assert one.page.locator("img[src=x]").count() == 0, path
    one.go("/?status=not_analysed")
    expect(one.page.locator(f"#row-{study}")).to_contain_text("<script>window.hacked=1</script>${7*7}{{7*7}}")
    one.page.fill("#text", ATTACK[:60])
    one.page.get_by_role("button", name="Search").click()
    expect(one.page.locator(f"#row-{study}")).to_be_visible()
    assert one.page.evaluate("window.hacked") is None
    assert one.faults == []
