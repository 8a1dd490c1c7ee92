"""From a closed series to a result with its report in the spool: repeatable, guarded, and never silent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom import dcmread

from ichnode.core.findings import CLASSES, findings_from, verdict_of
from ichnode.errors import BadObject, DiskFull, PermanentError
from ichnode.inference.engine import Engine
from ichnode.steps import analyse, report
from ichnode.steps.analyse import analyse_next
from ichnode.steps.assemble import assemble_due
from ichnode.steps.promote import promote
from ichnode.steps.recover import free_leases
from ichnode.steps.register import IMPORT, take_in
from ichnode.steps.report import report_next
from ichnode.worklist import assembly, schema
from ichnode.worklist.audit import NODE
from tests.bundles import write_tiny_bundle
from tests.made import rows
from tests.steps.spooled import encoded, put, started

OWNER = "first boot/worker"


@pytest.fixture(scope="session")
def engine(tiny_bundle):
    return Engine.load(tiny_bundle.folder, "cpu", 1)


@pytest.fixture
def node(make_node, clock, slice_files):
    """A node with one closed series of a real size; its analysis is queued."""
    return closed(make_node, clock, slice_files, ["sr"])


def closed(make_node, clock, slice_files, formats):
    pacs = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1, "formats": formats}
    node = make_node(destinations=[pacs])
    for file in slice_files:
        put(node, file)
    started(node)
    boot_at = clock()
    clock.forward(30)
    assemble_due(node, boot_at)
    assert [job["kind"] for job in rows(node.worklist, schema.jobs)] == ["analyse"]
    return node


def jobs_by_kind(node):
    return {job["kind"]: job["state"] for job in rows(node.worklist, schema.jobs)}


def test_result_report_and_outbox(node, engine, slice_files):
    assert analyse_next(node, engine, OWNER)
    (result,) = rows(node.worklist, schema.results)
    uids = [encoded(file)[1] for file in slice_files]
    assert [uid for uid, _ in result["outcome"]["order"]] == uids, "from the lowest slice up"
    assert len(result["outcome"]["scores"]) == len(uids)
    assert [f["name"] for f in result["outcome"]["findings"]] == list(CLASSES)
    assert result["model_digest"] == engine.bundle.digest
    assert set(result["seconds"]) == {"load", "inference", "report"}
    (row,) = rows(node.worklist, schema.reports)
    sr = dcmread(node.spool.path(row["file"]))
    assert sr.SOPInstanceUID == row["sop_instance_uid"]
    assert row["size"] == node.spool.path(row["file"]).stat().st_size
    (series,) = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence} == set(uids)
    assert [d["state"] for d in rows(node.worklist, schema.deliveries)] == ["pending"]
    assert not analyse_next(node, engine, OWNER)


def test_every_document_that_is_wanted_is_of_the_slices_and_not_of_a_localizer_among_them(
    make_node, clock, slice_files, engine, monkeypatch, tmp_path
):
    wanted = ("sr", "text-sr", "kos", "gsps")
    pacs = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1, "formats": wanted}
    node = make_node(destinations=[pacs])
    localizer = dcmread(slice_files[0])
    localizer.ImageType, localizer.RescaleIntercept = ["ORIGINAL", "PRIMARY", "LOCALIZER"], -9999
    localizer.SOPInstanceUID = localizer.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    localizer.InstanceNumber, localizer.ImageOrientationPatient = 0, [1, 0, 0, 0, 0, -1]
    localizer.save_as(tmp_path / "localizer.dcm")
    put(node, tmp_path / "localizer.dcm")
    started(node)  # it came first
    for file in slice_files:
        put(node, file)
    started(node)
    boot_at = clock()
    clock.forward(30)
    assemble_due(node, boot_at)
    interpret = analyse.interpret

    def with_everything_in_it(*arguments):
        done = interpret(*arguments)
        findings = findings_from(done.outcome.scores, dict.fromkeys(CLASSES, 0.0))
        return replace(done, outcome=replace(done.outcome, findings=findings, verdict=verdict_of(findings)))

    monkeypatch.setattr(analyse, "interpret", with_everything_in_it)
    assert analyse_next(node, engine, OWNER)
    made = {row["kind"]: dcmread(node.spool.path(row["file"])) for row in rows(node.worklist, schema.reports)}
    assert [made[kind].Modality for kind in wanted] == ["SR", "SR", "KO", "PR"]
    assert made["gsps"].RescaleIntercept != -9999
    evidence = made["sr"].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert len(evidence.ReferencedSOPSequence) == len(slice_files) + 1
    assert (
        len({one.SeriesInstanceUID for one in made.values()}) == len({one.SOPInstanceUID for one in made.values()}) == 4
    )


def test_an_attempt_cut_short_before_its_commit_makes_the_same_object_again(node, engine, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(report.results, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            analyse_next(node, engine, OWNER)
    (first,) = (node.spool.root / "reports").rglob("*.dcm")
    free_leases(node, OWNER)
    assert analyse_next(node, engine, "first boot/another")
    assert list((node.spool.root / "reports").rglob("*.dcm")) == [first], "byte for byte"
    assert rows(node.worklist, schema.reports)[0]["sop_instance_uid"] == dcmread(first).SOPInstanceUID


def test_a_series_with_unreadable_pixels_is_failed_and_reported(node, engine, monkeypatch):
    def unreadable(*_):
        raise BadObject("The pixel data of a slice cannot be decoded.", "PIXELS_UNREADABLE")

    monkeypatch.setattr(analyse, "interpret", unreadable)
    assert analyse_next(node, engine, OWNER)
    assert jobs_by_kind(node) == {"analyse": "failed", "report": "queued"}
    assert report_next(node)
    (result,) = rows(node.worklist, schema.results)
    assert result["verdict"] == "not_analysed"
    assert result["outcome"]["reason"]["code"] == "PIXELS_UNREADABLE"
    assert jobs_by_kind(node) == {"analyse": "failed", "report": "done"}
    assert not report_next(node)


def test_a_passing_trouble_is_tried_again_later(node, engine, clock, monkeypatch):
    def full(*_):
        raise DiskFull("No space left.")

    with monkeypatch.context() as patch:
        patch.setattr(analyse, "interpret", full)
        assert analyse_next(node, engine, OWNER)
    assert jobs_by_kind(node) == {"analyse": "queued"}
    assert not analyse_next(node, engine, OWNER), "not at once"
    clock.forward(60)
    assert analyse_next(node, engine, OWNER)
    assert jobs_by_kind(node)["analyse"] == "done"


def test_what_nobody_foresaw_costs_an_attempt_and_ends_the_worker(node, engine, clock, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("CUDA error at DOE^JANE")

    monkeypatch.setattr(analyse, "interpret", broken)
    for attempt in (1, 2, 3):
        with pytest.raises(PermanentError, match="An unexpected RuntimeError ended the analysis"):
            analyse_next(node, engine, f"first boot/{attempt}")
        clock.forward(600)
    assert jobs_by_kind(node) == {"analyse": "failed", "report": "queued"}
    said = capsys.readouterr()
    assert "test_analyse.py:" in said.out + said.err, "where it happened"
    assert "DOE" not in said.out + said.err


def test_a_late_slice_discards_the_analysis_of_the_fragment(node, engine, clock, monkeypatch):
    interpret = analyse.interpret

    def and_meanwhile(*arguments):
        with node.worklist.write() as tx:
            (row,) = rows(node.worklist, schema.series)
            tx.execute(schema.series.update().values(state="receiving", revision=row["revision"] + 1))
            from ichnode.worklist.opening import supersede_jobs

            supersede_jobs(tx, row["id"])
        return interpret(*arguments)

    monkeypatch.setattr(analyse, "interpret", and_meanwhile)
    assert analyse_next(node, engine, OWNER)
    assert rows(node.worklist, schema.results) == rows(node.worklist, schema.reports) == []
    assert jobs_by_kind(node) == {"analyse": "superseded"}


def test_a_partial_series_with_conflicts_says_both(node, engine, clock):
    with node.worklist.write() as tx:
        tx.execute(schema.series.update().values(missing="2 slices missing inside the scan", conflicts=1))
    assert analyse_next(node, engine, OWNER)
    (result,) = rows(node.worklist, schema.results)
    assert result["preliminary"] is True
    assert {"PARTIAL_SERIES", "CONFLICTING_INSTANCE"} <= {w["code"] for w in result["outcome"]["warnings"]}
    sr = dcmread(node.spool.path(rows(node.worklist, schema.reports)[0]["file"]))
    assert sr.PreliminaryFlag == "PRELIMINARY"


def test_a_new_revision_names_the_report_before_it(node, engine, clock):
    assert analyse_next(node, engine, OWNER)
    (first,) = rows(node.worklist, schema.reports)
    with node.worklist.write() as tx:
        tx.execute(schema.deliveries.update().values(state="delivered", attempts=1))
        (series,) = rows(node.worklist, schema.series)
        tx.execute(schema.series.update().values(revision=2))
        assembly.queue_job(tx, clock(), series["id"], 2, "analyse", None)
    assert analyse_next(node, engine, OWNER)
    sr = dcmread(node.spool.path(rows(node.worklist, schema.reports)[1]["file"]))
    (study,) = sr.PredecessorDocumentsSequence
    (item,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == first["sop_instance_uid"]
    assert sr.SOPInstanceUID != first["sop_instance_uid"]


def test_a_report_that_cannot_be_made_is_failed_and_visible_and_does_not_hold_up_others(node, clock, monkeypatch):
    with node.worklist.write() as tx:
        (series,) = rows(node.worklist, schema.series)
        assembly.queue_job(tx, clock(), series["id"], 1, "report", None)

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(report, "Answer", broken)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            report_next(node)
    assert not report_next(node)
    assert jobs_by_kind(node)["report"] == "failed"


def test_the_installation_has_one_identity(node, make_node):
    other = replace(node)
    assert report.device_facts(node) == report.device_facts(other)
    assert report.device_facts(node).observer_uid.startswith("2.25.")
    assert (node.settings.node.data / "installation").stat().st_mode & 0o077 == 0


def test_an_answer_of_a_model_that_is_not_active_any_more_is_not_filed(node, engine, tmp_path, monkeypatch):
    other = Engine.load(write_tiny_bundle(tmp_path / "other", seed=8).folder, "cpu", 1)
    for one in (engine, other):
        take_in(node, one.bundle.folder, IMPORT, tried=True)
    promote(node, engine.bundle.digest, NODE, "a test")
    reads = engine.read

    def promoted_meanwhile(*series):
        promote(node, other.bundle.digest, NODE, "a test")
        return reads(*series)

    monkeypatch.setattr(engine, "read", promoted_meanwhile)
    assert analyse_next(node, engine, OWNER)
    assert rows(node.worklist, schema.results) == rows(node.worklist, schema.deliveries) == []
    (job,) = rows(node.worklist, schema.jobs)
    assert (job["state"], job["attempts"]) == ("queued", 0), "which is no fault of the series"
    assert analyse_next(node, other, OWNER)
    (result,) = rows(node.worklist, schema.results)
    assert result["model_digest"] == other.bundle.digest
