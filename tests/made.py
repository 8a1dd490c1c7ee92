"""Slices, receipts, series and outcomes made by hand, for everything between the wire and the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, select

from ichnode.core.findings import CLASSES, Outcome, Verdict, Warned, findings_from, verdict_of
from ichnode.core.identity import derived_uid, digest_of
from ichnode.core.slices import Slice, StudyFacts
from ichnode.worklist import assembly, jobs, receipts, results, schema
from ichnode.worklist.jobs import Job
from ichnode.worklist.receipts import Disposition, Receipt
from ichnode.worklist.reports import ReportRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> datetime:
        """Move on, or with a negative number back; return the time then."""
        self.at += timedelta(seconds=seconds)
        return self.at


def head_slices(number: int = 32, spacing_mm: float = 5.0, seed: str = "a", **facts: object) -> list[Slice]:
    """A plain head CT from the base of the skull up: axial, soft kernel, no contrast, numbered from 1."""
    plain = {
        "transfer_syntax_uid": EXPLICIT_LE, "modality": "CT", "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "acquisition_number": 1, "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "rows": 512, "columns": 512,
        "pixel_spacing_mm": (0.45, 0.45), "thickness_mm": spacing_mm, "gantry_tilt_deg": 0.0, "samples_per_pixel": 1,
        "photometric": "MONOCHROME2", "bits_allocated": 16, "bits_stored": 12, "pixel_representation": 0,
        "rescale_slope": 1.0, "rescale_intercept": -1024.0, "rescale_type": "HU",
        "frame_of_reference_uid": derived_uid("frame", seed), "series_number": 2,
        "series_description": "HEAD 5 H31s", "protocol_name": "Head", "study_description": "CT HEAD",
        "body_part": "HEAD", "kernel": ("H31s",), "manufacturer": "SIEMENS", "patient_position": "HFS",
    }  # fmt: skip
    return [
        Slice(
            sop_instance_uid=derived_uid("image", seed, str(index)), sop_class_uid=CT, instance_number=index + 1,
            position_mm=(-115.0, -115.0, index * spacing_mm), **{**plain, **facts},  # type: ignore[arg-type]
        )
        for index in range(number)
    ]  # fmt: skip


def study_facts(study: str = "study", series: str = "series", **facts: str) -> StudyFacts:
    return StudyFacts(
        derived_uid("study", study), derived_uid("series", study, series),
        **{"patient_id": "P1", "patient_name": "DOE^JANE", "accession_number": f"A-{study}", **facts},
    )  # fmt: skip


def receipt_of(
    one: Slice, at: datetime, study: StudyFacts | None = None, association_id: int | None = None, content: str = ""
) -> Receipt:
    """The receipt of one slice; another `content` is another file under the same UIDs."""
    study = study or study_facts()
    digest = digest_of(one.sop_instance_uid.encode(), study.series_instance_uid.encode(), content.encode())
    return Receipt(
        study, one.sop_instance_uid, one.sop_class_uid, one.transfer_syntax_uid, digest, 525312,
        f"slices/{digest}.dcm", (one,), at, association_id,
    )  # fmt: skip


def take(
    worklist, slices: Iterable[Slice], at: datetime, study: StudyFacts | None = None, **options
) -> list[Disposition]:
    """Record each slice in a transaction of its own, as the receiver does."""
    said = []
    for one in slices:
        with worklist.write() as tx:
            found, _ = receipts.record_receipt(tx, receipt_of(one, at, study, **options), 0.5, keep_conflict=True)
        said.append(found)
    return said


def series_row(worklist, study: StudyFacts | None = None) -> assembly.SeriesRow:
    """The series as it is now, whatever its state."""
    study = study or study_facts()
    with worklist.read() as tx:
        row = tx.execute(
            select(*assembly._COLUMNS)
            .join(schema.studies)
            .where(
                schema.studies.c.study_instance_uid == study.study_instance_uid,
                schema.series.c.series_instance_uid == study.series_instance_uid,
            )
        ).mappings().one()  # fmt: skip
    return assembly.SeriesRow(**row)


def rows(worklist, table: Table, **equal) -> list[dict[str, Any]]:
    """The rows of a table whose columns have these values, in order."""
    with worklist.read() as tx:
        found = tx.execute(select(table).filter_by(**equal).order_by(*table.primary_key)).mappings()
        return [dict(row) for row in found]


def events(worklist) -> list[str]:
    """The events of the journal, in order."""
    return [row["event"] for row in rows(worklist, schema.journal)]


def closed_series(worklist, clock: Clock, study: StudyFacts | None = None, number: int = 3, missing=None):
    """A series with a queued analysis."""
    take(worklist, head_slices(number, seed=(study or study_facts()).series_instance_uid), clock(), study)
    row = series_row(worklist, study)
    with worklist.write() as tx:
        assert assembly.close(tx, clock(), row, "test", missing, {"could_win": True, "rank": [1.0]})
    return series_row(worklist, study)


def claim(worklist, clock: Clock, kind: str = "analyse", owner: str = "boot/worker", lease_s: float = 600) -> Job:
    with worklist.write() as tx:
        job = jobs.claim_job(tx, clock(), kind, owner, lease_s)
    assert job is not None, f"no {kind} job is due"
    return job


def answer(job: Job, score: float = 0.1) -> Outcome:
    """An analysis that gives every slice the score for `any`."""
    rows = tuple((score, 0.0, 0.0, 0.0, 0.0, 0.0) for _ in job.filed)
    findings = findings_from(rows, dict.fromkeys(CLASSES, 0.5))
    order = tuple((f.slice.sop_instance_uid, f.slice.frame) for f in job.filed)
    return Outcome(verdict_of(findings), rows, findings, missing=job.missing, order=order)


def not_analysed(job: Job) -> Outcome:
    return Outcome(
        Verdict.NOT_ANALYSED, reason=job.reason or Warned("ANALYSIS_FAILED", "It failed."), missing=job.missing
    )


def report_row(job: Job, edition: int) -> ReportRow:
    parts = (job.study_instance_uid, job.series_instance_uid, str(job.revision), str(edition))
    digest = digest_of(*(part.encode() for part in parts))
    return ReportRow(
        "sr", job.study_instance_uid, derived_uid("sr-series", *parts), "1.2.840.10008.5.1.4.1.1.88.33",
        derived_uid("sr", *parts), f"reports/{digest}.dcm", 4000,
    )  # fmt: skip


def finish(worklist, clock: Clock, job: Job, outcome: Outcome, destinations: Sequence[str] = ("pacs",)) -> bool:
    """End a job as `ichnode.steps.report.file_outcome` does, without a file."""
    with worklist.write() as tx:
        edition, _ = results.predecessors(tx, clock(), job)
    with worklist.write() as tx:
        return results.finish(
            tx, clock(), job, outcome, ("model", "1.0", "digest"), {"inference": 1.0}, [report_row(job, edition)],
            {"sr": list(destinations)},
        )  # fmt: skip


def analysed_series(worklist, clock: Clock, study: StudyFacts | None = None, score: float = 0.1, **options) -> Job:
    """A series with a result whose report waits for the destination "pacs"."""
    closed_series(worklist, clock, study)
    job = claim(worklist, clock)
    assert finish(worklist, clock, job, answer(job, score), **options)
    return job
