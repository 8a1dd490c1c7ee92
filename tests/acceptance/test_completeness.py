"""However a series comes, it ends in exactly one final result that references all of its slices."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.sop_class import CTImageStorage

from tests.association import Caller
from tests.invariants import check, evidence_of
from tests.peers import wait_until
from tests.running import current_results
from tests.sender import send_once

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]


@pytest.fixture
def files(head_ct: Path) -> list[Path]:
    return sorted(head_ct.iterdir(), key=lambda f: int(dcmread(f, stop_before_pixels=True).InstanceNumber))


def uids(files: list[Path]) -> set[str]:
    return {str(dcmread(f, stop_before_pixels=True).SOPInstanceUID) for f in files}


def the_result(node, files, revisions=None):
    """The one current result, after checking that it is final and complete, and that the PACS agrees."""
    node.wait_settled(90)
    check(node, uids(files))
    (series,) = node.series()
    (result,) = current_results(series)
    assert not result["preliminary"]
    assert evidence_of(node.data / "spool" / result["reports"][0]["file"]) == uids(files)
    if revisions is not None:
        assert series["revision"] == revisions
    return series, result


def test_on_one_association_it_is_closed_by_evidence(node_for, orthanc, files):
    node = node_for(orthanc, completeness={"quiet_s": 60.0, "max_wait_s": 120.0})
    assert send_once(node.port, files) == uids(files)
    series, _ = the_result(node, files, revisions=1)  # well within the minute of quiet time
    assert series["closed_because"] == "released cleanly with a whole head"
    assert len(orthanc.find("Instance", Modality="SR")) == 1


@pytest.mark.parametrize("parts", [2, 4])
def test_split_over_associations(node_for, orthanc, files, parts):
    node = node_for(orthanc)
    step = len(files) // parts
    for begin in range(0, len(files), step):
        send_once(node.port, files[begin : begin + step])
    the_result(node, files)


def test_interleaved_halves(node_for, orthanc, files):
    """Every second slice looks like an evenly spaced head; it must not pass for a whole one."""
    node = node_for(orthanc, completeness={"settle_s": 0.3, "quiet_s": 2.0, "max_wait_s": 120.0})
    send_once(node.port, files[::2])
    send_once(node.port, files[1::2])
    the_result(node, files, revisions=1)


def test_pause_in_the_middle_longer_than_quiet_time(node_for, orthanc, files):
    node = node_for(orthanc, completeness={"settle_s": 0.3, "quiet_s": 1.0, "max_wait_s": 120.0})
    send_once(node.port, files[:16])
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 3, 10, "a pause longer than quiet time")
    assert node.series()[0]["state"] == "receiving", "half a head is not closed by a timer"
    send_once(node.port, files[16:])
    the_result(node, files, revisions=1)


def test_abort_and_resend_with_duplicates(node_for, orthanc, files):
    node = node_for(orthanc)
    ae = Caller("SCANNER")
    ae.add_requested_context(CTImageStorage)
    association = ae.associate("127.0.0.1", node.port, ae_title="ICHAI")
    for file in files[:20]:
        association.send_c_store(dcmread(file))
    association.abort()
    assert send_once(node.port, files) == uids(files), "duplicates are success"
    series, _ = the_result(node, files)
    assert series["received"] == len(files)


def test_restart_between_slices(node_for, orthanc, files):
    node = node_for(orthanc)
    send_once(node.port, files[:16])
    node.kill()
    node.start()
    send_once(node.port, files[16:])
    the_result(node, files)


def test_partial_is_preliminary_and_a_late_slice_supersedes_it(node_for, orthanc, files, tmp_path):
    node = node_for(orthanc, completeness={"settle_s": 0.3, "quiet_s": 0.5, "max_wait_s": 5.0})
    send_once(node.port, files[:14] + files[15:])
    node.wait_settled()
    (series,) = node.series()
    (first,) = current_results(series)
    assert first["preliminary"]
    assert series["missing"]
    (sent,) = orthanc.files(tmp_path / "first", Modality="SR")
    report = dcmread(sent)
    assert (report.PreliminaryFlag, report.CompletionFlag) == ("PRELIMINARY", "PARTIAL")
    send_once(node.port, [files[14]])
    the_result(node, files, revisions=2)
    both = [dcmread(f) for f in orthanc.files(tmp_path / "both", Modality="SR")]
    (final,) = [r for r in both if r.SOPInstanceUID != report.SOPInstanceUID]
    assert (final.PreliminaryFlag, final.CompletionFlag) == ("FINAL", "COMPLETE")
    named = final.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == report.SOPInstanceUID


def test_the_pacs_counts(node_for, start_orthanc, files):
    """The PACS has all slices; the node gets them with a hole in the middle and waits for what is counted."""
    orthanc = start_orthanc()
    for file in files:
        orthanc.upload(file)
    source = {"aet": orthanc.aet, "host": "127.0.0.1", "port": orthanc.port, "ask_every_s": 0.5}
    node = node_for(orthanc, source=source, completeness={"settle_s": 0.3, "quiet_s": 0.5, "max_wait_s": 240.0})
    send_once(node.port, files[:-1])  # a whole head as far as geometry can tell
    wait_until(lambda: node.series()[0]["expected"] == len(files), 20, "the node has asked")
    assert node.series()[0]["state"] == "receiving"
    send_once(node.port, files[-1:])
    series, _ = the_result(node, files, revisions=1)
    assert series["closed_because"] == "the PACS counts no more images than are here"


def test_other_content_under_the_same_uid_is_kept_and_said(node_for, orthanc, files, tmp_path):
    changed = dcmread(files[3])
    changed.PixelData = bytes(len(changed.PixelData))
    changed.save_as(tmp_path / "changed.dcm")
    node = node_for(orthanc)
    for part in (files[:10], [tmp_path / "changed.dcm"], files[10:]):
        send_once(node.port, part)
    _, result = the_result(node, files)
    assert "CONFLICTING_INSTANCE" in {w["code"] for w in result["outcome"]["warnings"]}
    stored = list((node.data / "spool" / "slices").rglob("*.dcm"))
    assert len(stored) == len(files) + 1
