"""Where each study stands: computed from the facts, in the transaction that changes them.

Whoever writes a journal row about a study has changed it; `Worklist.write` brings the standings of all such studies up
to date just before it commits. The table holds nothing that could not be computed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, literal_column, select, update

from ichnode.core.lifecycle import DeliveryState, JobState, SeriesState
from ichnode.core.triage import place_of_study, urgency_of
from ichnode.worklist import schema
from ichnode.worklist.hot import Hot
from ichnode.worklist.standing_table import standings

_ST, _SE, _J, _R, _P, _D, _N = (
    schema.studies, schema.series, schema.jobs, schema.results, schema.reports, schema.deliveries, schema.notices,
)  # fmt: skip


_OF_STUDY = _SE.c.study_id == bindparam("study")
# Where two processes write at once (PostgreSQL), the second waits here and then sees what the first has done.
_STUDY = Hot(select(_ST).where(_ST.c.id == bindparam("study")).with_for_update())
_SERIES = Hot(select(_SE).where(_OF_STUDY))
_JOBS = Hot(select(_J.c.series_id, _J.c.kind, _J.c.state, _J.c.revision).join(_SE).where(_OF_STUDY))
_RESULTS = Hot(
    select(
        _R.c.id, _R.c.series_id, _R.c.verdict, _R.c.preliminary, _R.c.any_score, _R.c.retraction, _R.c.created_at,
        case((_R.c.verdict == literal_column("'not_analysed'"), _R.c.outcome)).label("outcome"),
    )
    .join(_SE, _SE.c.id == _R.c.series_id)
    .where(_OF_STUDY, _R.c.superseded_at.is_(None))
)  # fmt: skip
_DELIVERIES = Hot(
    select(_D.c.state, func.count().label("number"), func.min(_D.c.delivered_at).label("first"))
    .select_from(_D.join(_P, _P.c.id == _D.c.report_id).join(_R, _R.c.id == _P.c.result_id))
    .join(_SE, _SE.c.id == _R.c.series_id)
    .where(_OF_STUDY, _R.c.superseded_at.is_(None))
    .group_by(_D.c.state)
)
_NOTICES = Hot(
    select(_D.c.state, func.count().label("number"))
    .join(_N)
    .where(_N.c.study_id == bindparam("study"))
    .group_by(_D.c.state)
)
_REMOVE = Hot(delete(standings).where(standings.c.study_id == bindparam("study")))
_COLUMNS: dict[str, Any] = {c.name: bindparam(c.name) for c in standings.c if c.name != "study_id"}
_CHANGE = Hot(update(standings).where(standings.c.study_id == bindparam("study")).values(_COLUMNS))
_ADD = Hot(insert(standings).values(study_id=bindparam("study"), **_COLUMNS))


def refresh(tx: Connection, study_ids: Iterable[int]) -> None:
    """Bring the standings of some studies up to date."""
    for study_id in sorted(study_ids):
        study, series = _STUDY.mappings(tx, study=study_id), _SERIES.mappings(tx, study=study_id)
        if not study or not series:
            _REMOVE.run(tx, study=study_id)
            continue
        values = _standing(tx, study[0], series)
        if _CHANGE.run(tx, study=study_id, **values) == 0:
            _ADD.run(tx, study=study_id, **values)


def fill(tx: Connection) -> None:
    """Compute what is missing: the worklist comes from a version that kept no standings."""
    missing = (
        select(_SE.c.study_id)
        .distinct()
        .where(~select(standings.c.study_id).where(standings.c.study_id == _SE.c.study_id).exists())
    )
    refresh(tx, tx.scalars(missing).all())


def _standing(tx: Connection, study: dict[str, Any], series: Sequence[Any]) -> dict[str, Any]:
    about = study["id"]
    jobs, results = _JOBS.mappings(tx, study=about), _RESULTS.mappings(tx, study=about)
    delivered = _DELIVERIES.rows(tx, study=about) if results else []
    deliveries = {state: number for state, number, _ in delivered}
    notices: dict[str, int] = dict(_NOTICES.rows(tx, study=about))
    stands = [row for row in results if row["retraction"] is None]
    said = {row["verdict"] for row in stands}
    revisions = {row["id"]: row["revision"] for row in series}
    is_open = any(row["state"] == SeriesState.RECEIVING for row in series) or any(
        job["state"] in (JobState.QUEUED, JobState.RUNNING) and job["kind"] != "illustrate" for job in jobs
    )
    job_failed = any(job["state"] == JobState.FAILED and job["revision"] == revisions[job["series_id"]] for job in jobs)
    failed = job_failed or DeliveryState.FAILED in deliveries or DeliveryState.FAILED in notices
    verdict = _verdict(said, is_open, retracted=len(stands) < len(results))
    scores = [row["any_score"] for row in stands if row["any_score"] is not None]
    arrived_at = max(row["last_slice_at"] for row in series)
    urgency = urgency_of(verdict, failed)
    is_read, ordered = study["read_at"] is not None, study["ordered_at"] is not None
    urgent = study["urgent_because"] is not None
    place = place_of_study(urgency, max(scores, default=None), arrived_at, is_read, ordered, urgent)
    code, reason = _reason(series, stands) if verdict == "not_analysed" else (None, None)
    answers = [row["created_at"] for row in stands if row["verdict"] == verdict]
    return {
        **place._asdict(),
        "status": _status(verdict, job_failed, jobs),
        "study_date": study["study_date"],
        "verdict": verdict,
        "urgency": urgency,
        "any_score": max(scores, default=None),
        "preliminary": any(row["preliminary"] for row in results),
        "failed": failed,
        "reason_code": code,
        "reason": reason,
        "deliveries": deliveries,
        "notices": notices,
        "arrived_at": arrived_at,
        "answered_at": max(answers, default=None),
        "delivered_at": min((first for *_, first in delivered if first is not None), default=None),
        "search": "\n".join((study["patient_name"], study["patient_id"], study["accession_number"])).casefold(),
    }


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
        running = any(job["state"] == JobState.RUNNING and job["kind"] == "analyse" for job in jobs)
        return "running" if running else "waiting"
    return "failed" if verdict == "not_analysed" and job_failed else verdict


def _reason(series: Sequence[Any], results: Sequence[Any]) -> tuple[str | None, str | None]:
    """Return code and sentence: of a series that was to be read, else of the largest one that was not."""
    to_be_read = {row["id"] for row in series if row["state"] != SeriesState.IGNORED}
    ranked = sorted(results, key=lambda row: row["series_id"] not in to_be_read)
    said = [
        (row["series_id"], row["outcome"]["reason"])
        for row in ranked
        if row["outcome"] and row["outcome"].get("reason")
    ]
    if said and said[0][0] in to_be_read:
        return said[0][1]["code"], said[0][1]["sentence"]
    given = [row for row in series if row["reason_code"]]
    if not given:
        return (said[0][1]["code"], said[0][1]["sentence"]) if said else (None, None)
    best = max(given, key=lambda row: (row["reason_code"] != "ANOTHER_SERIES_CHOSEN", row["received"]))
    return best["reason_code"], best["reason"]
