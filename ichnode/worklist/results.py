"""Results and their reports: written in one commit with the job's end and one delivery per destination (outbox).

What is said comes first, in the commit of the result (`finish`); what is shown follows in a commit of its own
(`illustrate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from ichnode.core.findings import Finding, Outcome, Verdict, Warned
from ichnode.core.lifecycle import DELIVERY, DeliveryState, sources, target
from ichnode.core.triage import URGENCY
from ichnode.worklist import schema
from ichnode.worklist.assembly import queue_job
from ichnode.worklist.database import new_key, note
from ichnode.worklist.jobs import Job, finish_job
from ichnode.worklist.notices import look_again
from ichnode.worklist.opening import supersede_jobs
from ichnode.worklist.readings import reopen
from ichnode.worklist.reports import REJECTION, ReportRow, file_report
from ichnode.worklist.retractions import retract_overturned

_R, _P, _D = schema.results, schema.reports, schema.deliveries


@dataclass(frozen=True, slots=True)
class Unillustrated:
    """A result whose pictures are still to be made.

    Attributes
    ----------
    id : int
    edition : int
        As `predecessors`.
    outcome : Outcome
    model_digest : str
    older : list of ReportRow
        The pictures that it supersedes.
    """

    id: int
    edition: int
    outcome: Outcome
    model_digest: str
    older: list[ReportRow]


def predecessors(tx: Connection, now: datetime, job: Job) -> tuple[int, list[ReportRow]]:
    """Return the edition of the result that is being made, and the reports that it supersedes.

    The edition is 1 for the first result of a series; the same as long as no result was committed, so that an attempt
    that was cut short makes the very same objects again. Older reports that no destination has been offered yet are
    withdrawn first: nobody needs to hear of them. What is superseded is, of each kind, what was last offered to a
    destination, or made with none to offer it to.
    """
    edition = 1 + (tx.scalar(select(func.count()).where(_R.c.series_id == job.series_id)) or 0)
    older = select(_P.c.id).join(_R).where(_R.c.series_id == job.series_id, _P.c.kind != REJECTION)
    withdrawn = tx.execute(
        update(_D)
        .where(_D.c.report_id.in_(older), _D.c.state == DeliveryState.PENDING, _D.c.attempts == 0)
        .values(state=target(DELIVERY, "withdraw"))
    ).rowcount
    if withdrawn:
        note(tx, now, "delivery.withdrawn", job.study_id, job.series_id, deliveries=withdrawn)
    return edition, _last_offered(tx, _R.c.series_id == job.series_id)


def _last_offered(tx: Connection, of_results: ColumnElement[bool]) -> list[ReportRow]:
    """Return of each kind what was last offered to a destination, or made with none to offer it to."""
    offered = (
        select(func.count()).where(_D.c.report_id == _P.c.id, _D.c.state != DeliveryState.WITHDRAWN).scalar_subquery()
    )
    planned = select(func.count()).where(_D.c.report_id == _P.c.id).scalar_subquery()
    rows = tx.execute(
        select(
            offered.label("offered"), _P.c.result_id, _P.c.kind, _P.c.study_instance_uid, _P.c.series_instance_uid,
            _P.c.sop_class_uid, _P.c.sop_instance_uid, _P.c.file, _P.c.size,
        )
        .join(_R)
        .where(of_results, (offered > 0) | (planned == 0))
        .order_by(_P.c.id.desc())
    ).all()  # fmt: skip
    latest: dict[str, tuple[int, bool]] = {}
    for row in rows:  # one that was recast for every destination has itself been offered to none
        result_id, any_offered = latest.setdefault(row.kind, (row.result_id, False))
        latest[row.kind] = result_id, any_offered or (row.result_id == result_id and row.offered > 0)
    return [ReportRow(*row[2:]) for row in rows if (row.result_id, row.offered > 0) == latest[row.kind]]


def finish(
    tx: Connection, now: datetime, job: Job, outcome: Outcome, model: tuple[str, str, str] | None,
    seconds: dict[str, float], reports: list[ReportRow], wanted: Mapping[str, Sequence[str]],
    heat_file: str | None = None, pictures_follow: bool = False, read_by: str | None = None,
) -> bool:  # fmt: skip
    """Commit a job's end: result, reports, one delivery per report and destination; older results step back.

    Where pictures are to follow, the job that makes them is queued in the same commit.

    Parameters
    ----------
    model : (name, version, digest) or None
    seconds : mapping of stage to duration in seconds
    wanted : mapping of format to names of destinations
    heat_file : str or None
        Name in the spool of the heat maps that explain the result.
    read_by : str or None
        Device, and machine of the pool, that read it; for the journal.

    Returns
    -------
    bool
        False when the job was superseded or its lease lost meanwhile; nothing is written then.
    """
    if not finish_job(tx, now, job):
        return False
    retract_overturned(tx, now, job.study_id, job.series_id, outcome.verdict)
    current = _R.c.series_id == job.series_id, _R.c.superseded_at.is_(None)
    before = tx.scalar(select(_R.c.verdict).where(*current))
    older = select(_R.c.id).where(*current)
    stale = select(_P.c.id).where(_P.c.result_id.in_(older), _P.c.kind != REJECTION)
    tx.execute(
        update(_D)
        .where(_D.c.report_id.in_(stale), _D.c.state.in_(sources(DELIVERY, "withdraw")))
        .values(state=target(DELIVERY, "withdraw"))
    )
    tx.execute(update(_R).where(*current).values(superseded_at=now))
    result_id = new_key(tx, insert(_R).values(
            job_id=job.id, series_id=job.series_id, revision=job.revision, verdict=outcome.verdict,
            preliminary=outcome.preliminary, any_score=outcome.any_score, outcome=_plain(outcome),
            model_name=model[0] if model else None, model_version=model[1] if model else None,
            model_digest=model[2] if model else None, seconds=seconds, created_at=now, heat_file=heat_file,
        ))  # fmt: skip
    for report in reports:
        file_report(tx, now, result_id, report, URGENCY[outcome.verdict], wanted.get(report.kind, ()))
    supersede_jobs(tx, job.series_id, "illustrate")
    if pictures_follow:
        queue_job(tx, now, job.series_id, job.revision, "illustrate", None)
    reopen(tx, now, job.study_id, outcome.verdict, before)
    look_again(tx, now, job.study_id)
    note(
        tx, now, "result.made", job.study_id, job.series_id, revision=job.revision, verdict=str(outcome.verdict),
        reason=outcome.reason.code if outcome.reason else None, read_by=read_by or None,
        **_waited(tx, now, job.series_id),
    )  # fmt: skip
    return True


def unillustrated(tx: Connection, job: Job) -> Unillustrated | None:
    """Return the result that a job is to make pictures of; None where it was superseded or taken back meanwhile."""
    row = tx.execute(
        select(_R.c.id, _R.c.outcome, _R.c.model_digest).where(
            _R.c.series_id == job.series_id, _R.c.revision == job.revision, _R.c.superseded_at.is_(None),
            _R.c.retraction.is_(None), _R.c.any_score.is_not(None),
        )
    ).first()  # fmt: skip
    if row is None:
        return None
    before = (_R.c.series_id == job.series_id) & (_R.c.id < row.id)
    edition = 1 + (tx.scalar(select(func.count()).where(before)) or 0)
    return Unillustrated(row.id, edition, _outcome(row.outcome), row.model_digest, _last_offered(tx, before))


def illustrate(
    tx: Connection, now: datetime, job: Job, of: Unillustrated | None, seconds: Mapping[str, float],
    reports: Sequence[ReportRow], wanted: Mapping[str, Sequence[str]], heat_file: str | None,
) -> bool:  # fmt: skip
    """Commit the pictures of a result with the end of their job, and one delivery per picture and destination.

    Returns
    -------
    bool
        False when the job was superseded or its lease lost, or the result taken back; no picture is filed then.
    """
    if not finish_job(tx, now, job) or of is None:
        return False
    stands = _R.c.id == of.id, _R.c.superseded_at.is_(None), _R.c.retraction.is_(None)
    said = tx.execute(select(_R.c.verdict, _R.c.seconds).where(*stands)).first()
    if said is None:
        return False
    tx.execute(update(_R).where(*stands).values(heat_file=heat_file, seconds={**said.seconds, **seconds}))
    for report in reports:
        file_report(tx, now, of.id, report, URGENCY[said.verdict], wanted.get(report.kind, ()))
    note(tx, now, "result.illustrated", job.study_id, job.series_id, revision=job.revision, pictures=len(reports))
    return True


def order_of_scores(tx: Connection, series_id: int) -> tuple[tuple[str, int], ...]:
    """Return (SOP Instance UID, frame) of each row of scores of a series' last analysis; empty where it has none."""
    outcomes = tx.scalars(
        select(_R.c.outcome).where(_R.c.series_id == series_id, _R.c.any_score.is_not(None)).order_by(_R.c.id.desc())
    )
    outcome = outcomes.first()
    return tuple((instance, frame) for instance, frame in outcome["order"]) if outcome else ()


def _waited(tx: Connection, now: datetime, series_id: int) -> dict[str, float]:
    """Return the seconds from first and from last slice to now, for the journal, where late slices change nothing."""
    series = schema.series
    first, last = tx.execute(
        select(series.c.first_slice_at, series.c.last_slice_at).where(series.c.id == series_id)
    ).one()
    return {
        name: round(max(0.0, (now - at).total_seconds()), 3)
        for name, at in (("after_first_s", first), ("after_last_s", last))
    }


def _outcome(facts: dict[str, Any]) -> Outcome:
    """Return what `_plain` wrote down."""
    findings = (Finding(**{**one, "key_slices": tuple(one["key_slices"])}) for one in facts["findings"])
    return Outcome(
        Verdict(facts["verdict"]), tuple(tuple(row) for row in facts["scores"]), tuple(findings),
        tuple(Warned(**one) for one in facts["warnings"]), None, facts["missing"],
        tuple((instance, frame) for instance, frame in facts["order"]), facts.get("measures", {}),
    )  # fmt: skip


def _plain(outcome: Outcome) -> dict[str, Any]:
    facts = asdict(outcome)
    facts["verdict"] = str(outcome.verdict)
    facts["scores"] = [[round(float(score), 5) for score in row] for row in outcome.scores]
    return facts
