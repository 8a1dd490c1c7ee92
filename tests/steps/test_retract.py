"""A result that is taken back reaches the archives that have it as an IOCM rejection note, and nobody else."""

from __future__ import annotations

import pytest
from pydicom import dcmread

from ichnode.core.findings import Outcome, Verdict, findings_from, verdict_of
from ichnode.inference.engine import Engine
from ichnode.reporting.rejection import REJECTION_NOTE
from ichnode.steps.analyse import analyse_next
from ichnode.steps.assemble import assemble_due
from ichnode.steps.deliver import deliver_due
from ichnode.steps.report import file_outcome
from ichnode.steps.retract import reject_next
from ichnode.worklist import assembly, jobs, retractions, schema
from tests.made import claim, rows
from tests.steps.pacs import Pacs
from tests.steps.spooled import put, started

SR, ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.22"


@pytest.fixture(scope="session")
def engine(tiny_bundle):
    return Engine.load(tiny_bundle.folder, "cpu", 1)


@pytest.fixture
def archives():
    return Pacs(takes=(SR, ENHANCED_SR, REJECTION_NOTE)), Pacs(takes=(SR, REJECTION_NOTE), aet="ARCHIVE")


@pytest.fixture
def node(make_node, clock, slice_files, archives):
    """A node with two destinations, one of which wants the readable report as well, and one queued analysis."""
    both = [
        {"name": pacs.aet.lower(), "aet": pacs.aet, "host": "127.0.0.1", "port": pacs.port, "formats": formats}
        for pacs, formats in zip(archives, (["sr", "text-sr"], ["sr"]), strict=True)
    ]
    node = make_node(destinations=both)
    for file in slice_files:
        put(node, file)
    started(node)
    boot_at = clock()
    clock.forward(30)
    assemble_due(node, boot_at)
    return node


def deliver(node, *archives):
    """Let the given ones get what waits for them."""
    for pacs, destination in zip(archives, node.settings.destinations, strict=False):
        with pacs.listening():
            assert deliver_due(node, destination) is None


def take_back(node, because="wrong-result", remark=""):
    with node.worklist.write() as tx:
        ids = [row["id"] for row in rows(node.worklist, schema.series)]
        return retractions.retract(tx, node.now(), ids, because, remark)


def notes(node):
    found = [row for row in rows(node.worklist, schema.reports) if row["kind"] == "rejection"]
    return [dcmread(node.spool.path(row["file"])) for row in found]


def rejected_by(note):
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    return {item.ReferencedSOPInstanceUID for s in study.ReferencedSeriesSequence for item in s.ReferencedSOPSequence}


def test_each_archive_is_told_of_exactly_what_it_has(node, engine, archives):
    assert analyse_next(node, engine, "boot/worker")
    deliver(node, *archives)
    had = [set(pacs.stored) for pacs in archives]
    assert [len(uids) for uids in had] == [2, 1]
    assert take_back(node, "wrong-patient", "Mixed up at the scanner.") == 1
    assert reject_next(node)
    assert not reject_next(node)
    assert [rejected_by(note) for note in notes(node)] == had
    deliver(node, *archives)
    for pacs, note, before in zip(archives, notes(node), had, strict=True):
        assert set(pacs.stored) - before == {note.SOPInstanceUID}
        assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
        assert any("Mixed up at the scanner." in item.get("TextValue", "") for item in note.ContentSequence)


def test_archives_that_have_the_same_get_the_same_note_and_who_has_nothing_gets_none(node, engine, archives):
    assert analyse_next(node, engine, "boot/worker")
    deliver(node, archives[0])
    assert take_back(node) == 1
    assert reject_next(node)
    (note,) = notes(node)
    assert rejected_by(note) == set(archives[0].stored)
    states = {(row["destination"], row["state"]) for row in rows(node.worklist, schema.deliveries)}
    assert states == {("pacs", "delivered"), ("pacs", "pending"), ("archive", "withdrawn")}


def test_a_destination_can_be_left_out(make_node, node, engine, archives):
    sections = [d.model_dump() | {"rejection_notes": d.name == "archive"} for d in node.settings.destinations]
    assert analyse_next(node, engine, "boot/worker")
    deliver(node, *archives)
    quiet = make_node(destinations=sections)
    take_back(quiet)
    assert reject_next(quiet)
    (note,) = notes(quiet)
    assert rejected_by(note) == set(archives[1].stored)


def test_nothing_was_sent_so_nobody_is_told(node, engine):
    assert analyse_next(node, engine, "boot/worker")
    assert take_back(node) == 1
    assert reject_next(node)
    assert notes(node) == []
    assert {row["state"] for row in rows(node.worklist, schema.deliveries)} == {"withdrawn"}


def test_a_revision_that_turns_the_call_round_is_corrected_and_the_old_one_rejected(node, archives, tiny_bundle):
    bundle = Engine.load(tiny_bundle.folder, "cpu", 1).bundle
    job = claim(node.worklist, node.now)
    assert file_outcome(node, job, called(job, 0.99), bundle, {})
    deliver(node, *archives)
    first = set(archives[1].stored)
    with node.worklist.write() as tx:
        assembly.queue_job(tx, node.now(), job.series_id, job.revision, "analyse", None)
    again = claim(node.worklist, node.now)
    assert file_outcome(node, again, called(again, 0.0), bundle, {})
    assert reject_next(node)
    deliver(node, *archives)
    new = [dcmread(node.spool.path(row["file"])) for row in rows(node.worklist, schema.reports)[2:]]
    corrected = next(ds for ds in new if ds.SOPClassUID == SR)
    (predecessor,) = corrected.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {predecessor.ReferencedSOPInstanceUID} == first
    note = next(ds for ds in notes(node) if rejected_by(ds) == first)
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert set(archives[1].stored) == {*first, corrected.SOPInstanceUID, note.SOPInstanceUID}


def test_a_report_that_is_gone_from_the_disk_is_visible_and_does_not_stop_the_next(node, engine, archives):
    assert analyse_next(node, engine, "boot/worker")
    deliver(node, *archives)
    for row in rows(node.worklist, schema.reports):
        node.spool.path(row["file"]).unlink()
    take_back(node)
    assert reject_next(node)
    assert not reject_next(node)
    (result,) = rows(node.worklist, schema.results)
    assert result["retraction"] == "failed"


def called(job: jobs.Job, score: float) -> Outcome:
    """An outcome with the same any-score on every slice."""
    scores = ((score, 0.0, 0.0, 0.0, 0.0, 0.0),) * len(job.filed)
    names = ("any", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "epidural")
    findings = findings_from(scores, dict.fromkeys(names, 0.5))
    order = tuple((f.slice.sop_instance_uid, f.slice.frame) for f in job.filed)
    assert verdict_of(findings) in (Verdict.POSITIVE, Verdict.NEGATIVE)
    return Outcome(verdict_of(findings), scores, findings, order=order)
