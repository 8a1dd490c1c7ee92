"""Where each study stands: computed from the facts, in the transaction that changes them.

Whoever writes a journal row about a study has changed it; `Worklist.write` brings the standings of all such studies up
to date just before it commits. The table holds nothing that could not be computed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, select, update

from ichnode.core.lifecycle import DeliveryState, JobState, SeriesState
from ichnode.core.triage import place_of_study, urgency_of
from ichnode.worklist import schema
from ichnode.worklist.standing_table import standings

_ST, _SE, _J, _R, _P, _D, _N = (
    schema.studies, schema.series, schema.jobs, schema.results, schema.reports, schema.deliveries, schema.notices,
)  # fmt: skip


def refresh(tx: Connection, study_ids: Iterable[int]) -> None:
    """Bring the standings of some studies up to date."""
    for study_id in sorted(study_ids):
        # Where two processes write at once (PostgreSQL), the second waits here and then sees what the first has done.
        study = tx.execute(select(_ST).where(_ST.c.id == study_id).with_for_update()).mappings().first()
        series = tx.execute(select(_SE).where(_SE.c.study_id == study_id)).mappings().all()
        if study is None or not series:
            tx.execute(delete(standings).where(standings.c.study_id == study_id))
            continue
        values = _standing(tx, dict(study), series)
        if tx.execute(update(standings).where(standings.c.study_id == study_id).values(values)).rowcount == 0:
            tx.execute(insert(standings).values(study_id=study_id, **values))


def fill(tx: Connection) -> None:
    """Compute what is missing: the worklist comes from a version that kept no standings."""
    missing = (
        select(_SE.c.study_id)
        .distinct()
        .where(~select(standings.c.study_id).where(standings.c.study_id == _SE.c.study_id).exists())
    )
    refresh(tx, tx.scalars(missing).all())


def _standing(tx: Connection, study: dict[str, Any], series: Sequence[Any]) -> dict[str, Any]:
    ids = [row["id"] for row in series]
    jobs = tx.execute(select(_J.c.series_id, _J.c.kind, _J.c.state, _J.c.revision).where(_J.c.series_id.in_(ids))).all()
    results = tx.execute(
        select(
            _R.c.id,
            _R.c.series_id,
            _R.c.verdict,
            _R.c.preliminary,
            _R.c.any_score,
            _R.c.retraction,
            _R.c.created_at,
            case((_R.c.verdict == "not_analysed", _R.c.outcome)).label("outcome"),
        ).where(_R.c.series_id.in_(ids), _R.c.superseded_at.is_(None))
    ).all()
    deliveries, delivered_at = _deliveries(tx, [row.id for row in results])
    notices = _notices(tx, study["id"])
    stands = [row for row in results if row.retraction is None]
    said = {row.verdict for row in stands}
    revisions = {row["id"]: row["revision"] for row in series}
    is_open = any(row["state"] == SeriesState.RECEIVING for row in series) or any(
        job.state in (JobState.QUEUED, JobState.RUNNING) and job.kind != "illustrate" for job in jobs
    )
    job_failed = any(job.state == JobState.FAILED and job.revision == revisions[job.series_id] for job in jobs)
    failed = job_failed or DeliveryState.FAILED in deliveries or DeliveryState.FAILED in notices
    verdict = _verdict(said, is_open, retracted=len(stands) < len(results))
    scores = [row.any_score for row in stands if row.any_score is not None]
    arrived_at = max(row["last_slice_at"] for row in series)
    urgency = urgency_of(verdict, failed)
    is_read, ordered = study["read_at"] is not None, study["ordered_at"] is not None
    urgent = study["urgent_because"] is not None
    place = place_of_study(urgency, max(scores, default=None), arrived_at, is_read, ordered, urgent)
    code, reason = _reason(series, stands) if verdict == "not_analysed" else (None, None)
    answers = [row.created_at for row in stands if row.verdict == verdict]
    return {
        **place._asdict(),
        "status": _status(verdict, job_failed, jobs),
        "study_date": study["study_date"],
        "verdict": verdict,
        "urgency": urgency,
        "any_score": max(scores, default=None),
        "preliminary": any(row.preliminary for row in results),
        "failed": failed,
        "reason_code": code,
        "reason": reason,
        "deliveries": deliveries,
        "notices": notices,
        "arrived_at": arrived_at,
        "answered_at": max(answers, default=None),
        "delivered_at": delivered_at,
        "search": "\n".join((study["patient_name"], study["patient_id"], study["accession_number"])).casefold(),
    }


def _deliveries(tx: Connection, result_ids: list[int]) -> tuple[dict[str, int], datetime | None]:
    rows = tx.execute(
        select(_D.c.state, func.count(), func.min(_D.c.delivered_at))
        .select_from(_D.join(_P, _P.c.id == _D.c.report_id))
        .where(_P.c.result_id.in_(result_ids))
        .group_by(_D.c.state)
    ).all()
    first = min((row[2] for row in rows if row[2] is not None), default=None)
    return {row[0]: row[1] for row in rows}, datetime.fromisoformat(first) if isinstance(first, str) else first


def _notices(tx: Connection, study_id: int) -> dict[str, int]:
    rows = tx.execute(
        select(_D.c.state, func.count()).join(_N).where(_N.c.study_id == study_id).group_by(_D.c.state)
    ).all()
    return {row[0]: row[1] for row in rows}


def _verdict(said: set[str], is_open: bool, retracted: bool) -> str:
    if "positive" in said:
        return "positive"
    if is_open:
        return "pending"
    if "negative" in said:
        return "negative"
    return "retracted" if retracted else "not_analysed"


def _status(verdict: str, job_failed: bool, jobs: Sequence[Any]) -> str:
    if verdict == "pending":
        return "running" if any(job.state == JobState.RUNNING and job.kind == "analyse" for job in jobs) else "waiting"
    return "failed" if verdict == "not_analysed" and job_failed else verdict


def _reason(series: Sequence[Any], results: Sequence[Any]) -> tuple[str | None, str | None]:
    """Return code and sentence: of a series that was to be read, else of the largest one that was not."""
    to_be_read = {row["id"] for row in series if row["state"] != SeriesState.IGNORED}
    ranked = sorted(results, key=lambda row: row.series_id not in to_be_read)
    said = [(row.series_id, row.outcome["reason"]) for row in ranked if row.outcome and row.outcome.get("reason")]
    if said and said[0][0] in to_be_read:
        return said[0][1]["code"], said[0][1]["sentence"]
    given = [row for row in series if row["reason_code"]]
    if not given:
        return (said[0][1]["code"], said[0][1]["sentence"]) if said else (None, None)
    best = max(given, key=lambda row: (row["reason_code"] != "ANOTHER_SERIES_CHOSEN", row["received"]))
    return best["reason_code"], best["reason"]
