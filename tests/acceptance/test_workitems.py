"""Work items in the real node: fetched from Orthanc, analysed, delivered there, and told; also over a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ichnode.worklist.workitem_tables import workitems as table
from tests.heads import series_uid, study_uid, write_head
from tests.made import rows
from tests.peers import wait_until
from tests.ups_service import PERFORMED, PROGRESS, UpsService, series_input

pytestmark = [pytest.mark.interop, pytest.mark.crash, pytest.mark.timeout(600)]
SCOUT = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
QUICK = {"retrieve": "c-get", "patience_s": 0.5, "look_every_s": 3600, "first_retry_s": 0.5, "longest_retry_s": 1}


@pytest.fixture(scope="module")
def service():
    with UpsService().listening() as ups:
        yield ups


@pytest.fixture
def dying(monkeypatch):
    """Let the next node die at a seam: ``dying("module:function:after:1")``; None: live."""

    def at(seam: str | None) -> None:
        if seam is None:
            monkeypatch.delenv("CRASH_SEAM")
            return
        folder = str(Path(__file__).parent.parent / "crash" / "seam")
        monkeypatch.setenv("CRASH_SEAM", seam)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]))

    return at


def states(node):
    return [row["state"] for row in rows(node.worklist, table)]


def test_a_head_is_completed_and_a_localizer_is_canceled_though_the_node_is_killed_before_it_records_the_end(
    node_for, start_orthanc, service, tmp_path, dying
):
    orthanc = start_orthanc()
    files = [*write_head(tmp_path / "pacs", "asked"), *write_head(tmp_path / "pacs", "scout", ImageType=SCOUT)]
    for file in files:
        orthanc.upload(file)
    dying("ichnode.worklist.workitems:cancel:before:1")
    for name in ("asked", "scout"):
        service.schedule(study_uid(name), series_input(study_uid(name), series_uid(name), 12, orthanc.aet))
    node = node_for(orthanc, source={"aet": orthanc.aet, "port": orthanc.port, **QUICK}, workitems=service.section)
    wait_until(node.ended, 180, "the node dies")
    assert "canceled" not in states(node)
    assert service.state(study_uid("scout")) == "CANCELED", "the end stands at the service alone"
    dying(None)
    node.start()
    wait_until(lambda: set(states(node)) <= {"canceled", "completed", "lost"}, 180, "both have ended")
    assert sorted(states(node)) == ["canceled", "completed"]
    assert sorted(service.claims) == sorted([study_uid("asked"), study_uid("scout")]), "claimed once"
    assert service.state(study_uid("scout")) == "CANCELED"
    (said,) = service.items[study_uid("scout")][PROGRESS]["Value"]
    assert said["00741238"]["Value"][0].startswith("LOCALIZER: The series is a localizer")
    assert service.state(study_uid("asked")) == "COMPLETED"
    (done,) = service.items[study_uid("asked")][PERFORMED]["Value"]
    outputs = [ref["00081155"]["Value"][0] for item in done["00404033"]["Value"] for ref in item["00081199"]["Value"]]
    there = {orthanc.get(f"/instances/{one}/tags?simplify")["SOPInstanceUID"] for one in orthanc.get("/instances")}
    assert outputs
    assert set(outputs) <= there, "what it names can be had"
    assert "DOE" not in node.log
    assert node.stop() == 0


SEAMS = [
    ("ichnode.worklist.workitems:claim:before:1", ["offered"]),  # claimed at the service, not in the rows
    # The reason is there, the state is not; or the answer to the claim was late, and this asked whose it is.
    ("ichnode.dicom.ups_rs:update:after:1", ["working", "offered"]),
]


@pytest.mark.parametrize(("seam", "left"), SEAMS)
def test_killed_at_a_seam_it_goes_on_under_the_same_transaction_and_claims_once(seam, left, node_for, service, dying):
    service.clear()
    destination = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1}
    source = {"aet": "PACS", "port": 1, **QUICK}
    dying(seam)
    node = node_for(None, source=source, destinations=[destination], workitems=service.section)
    uid = service.schedule("1.2.3")  # without input: it ends as soon as that has been told
    wait_until(node.ended, 120, f"{seam} was reached")
    assert states(node)[0] in left
    locks = dict(service.locks)
    dying(None)
    node.start()
    wait_until(lambda: states(node) == ["canceled"], 120, "it has ended")
    assert (service.claims, service.state(uid)) == ([uid], "CANCELED")
    assert locks == service.locks
    assert node.stop() == 0
