"""Reading the worklist: what `ichnode worklist` and `ichnode show` print. Nothing here changes a row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, exists, func, or_, select

from ichnode.core.lifecycle import DeliveryState, JobState, SeriesState
from ichnode.core.triage import PENDING_URGENCY, URGENCY
from ichnode.worklist import schema
from ichnode.worklist.told import of_study

_ST, _SE, _J, _R, _P, _D, _N = (
    schema.studies, schema.series, schema.jobs, schema.results, schema.reports, schema.deliveries, schema.notices,
)  # fmt: skip


def _count(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


_current = and_(_R.c.series_id == _SE.c.id, _R.c.superseded_at.is_(None))
_stands = _R.c.retraction.is_(None)
_positive, _negative = (_count(and_(_R.c.verdict == verdict, _stands)) for verdict in ("positive", "negative"))
_retracted = _count(_R.c.retraction.is_not(None))
_open = _count(
    or_(
        _SE.c.state == SeriesState.RECEIVING,
        exists().where(_J.c.series_id == _SE.c.id, _J.c.state.in_((JobState.QUEUED, JobState.RUNNING))),
    )
)
_failed = _count(
    or_(
        exists().where(_J.c.series_id == _SE.c.id, _J.c.state == JobState.FAILED, _J.c.revision == _SE.c.revision),
        exists().where(_P.c.result_id == _R.c.id, _D.c.report_id == _P.c.id, _D.c.state == DeliveryState.FAILED),
        exists().where(_N.c.study_id == _ST.c.id, _D.c.notice_id == _N.c.id, _D.c.state == DeliveryState.FAILED),
    )
)
_urgency = case(
    (_positive > 0, URGENCY["positive"]),
    (_failed > 0, URGENCY["failed"]),
    (_open > 0, PENDING_URGENCY),
    (_negative > 0, URGENCY["negative"]),
    else_=URGENCY["not_analysed"],
)


def page(tx: Connection, most: int = 50, skip: int = 0) -> list[dict[str, Any]]:
    """Return studies by urgency (positive, failed, pending, not analysed, negative), then the latest first."""
    last = func.max(_SE.c.last_slice_at)
    rows = tx.execute(
        select(
            _ST.c.id, _ST.c.study_instance_uid, _ST.c.patient_id, _ST.c.patient_name, _ST.c.accession_number,
            _ST.c.study_date, _ST.c.description, _urgency.label("urgency"), last.label("last_slice_at"),
            func.max(case((_stands, _R.c.any_score))).label("any_score"),
            func.count(_SE.c.id.distinct()).label("series"), func.sum(_SE.c.received).label("slices"),
            _failed.label("failed"), _open.label("open"),
            _positive.label("positive"), _negative.label("negative"), _count(_R.c.preliminary).label("preliminary"),
            _retracted.label("retracted"),
        )
        .join(_SE, _SE.c.study_id == _ST.c.id)
        .outerjoin(_R, _current)
        .group_by(_ST.c.id)
        .order_by(_urgency, last.desc())
        .limit(most)
        .offset(skip)
    ).mappings()  # fmt: skip
    return [_study_line(tx, dict(row)) for row in rows]


def _study_line(tx: Connection, row: dict[str, Any]) -> dict[str, Any]:
    found = tx.execute(
        select(_D.c.state, func.count().label("number"))
        .join(_P, _P.c.id == _D.c.report_id)
        .join(_R, _R.c.id == _P.c.result_id)
        .join(_SE, _SE.c.id == _R.c.series_id)
        .where(_SE.c.study_id == row["id"], _R.c.superseded_at.is_(None))
        .group_by(_D.c.state)
    )
    states = {state: number for state, number in found}  # noqa: C416 (rows are not pairs to a type checker)
    told_of = tx.execute(
        select(_D.c.state, func.count()).join(_N).where(_N.c.study_id == row["id"]).group_by(_D.c.state)
    )
    last = row["last_slice_at"]
    return {
        "id": row["id"],
        "verdict": _verdict(row),
        "preliminary": bool(row["preliminary"]),
        "urgency": row["urgency"],
        "any_score": row["any_score"],
        "failed": bool(row["failed"]),
        "accession_number": row["accession_number"],
        "patient_id": row["patient_id"],
        "patient_name": row["patient_name"],
        "study_date": row["study_date"],
        "description": row["description"],
        "study_instance_uid": row["study_instance_uid"],
        "series": row["series"],
        "slices": int(row["slices"] or 0),
        "last_slice_at": last if isinstance(last, str) else last.isoformat(),
        "deliveries": states,
        "notices": {state: number for state, number in told_of},  # noqa: C416
    }


def _verdict(row: dict[str, Any]) -> str:
    if row["positive"]:
        return "positive"
    if row["open"]:
        return "pending"
    if row["negative"]:
        return "negative"
    return "retracted" if row["retracted"] else "not_analysed"


def find_study(tx: Connection, text: str) -> list[int]:
    """Return the ids of the studies that `text` names: worklist number, study or series UID, accession number."""
    if not text:
        return []  # the accession number of many studies
    by_series = select(_SE.c.study_id).where(_SE.c.series_instance_uid == text)
    found = tx.scalars(
        select(_ST.c.id).where(
            or_(_ST.c.study_instance_uid == text, _ST.c.accession_number == text, _ST.c.id.in_(by_series))
        )
    ).all()
    if not found and text.isdigit() and len(text) < 12:
        found = tx.scalars(select(_ST.c.id).where(_ST.c.id == int(text))).all()
    return list(found)


def find_series(tx: Connection, text: str) -> list[int]:
    """Return the ids of the series that `text` names: one by its UID, all of a study by what `find_study` takes."""
    one = list(tx.scalars(select(_SE.c.id).where(_SE.c.series_instance_uid == text))) if text else []
    return one or series_ids(tx, find_study(tx, text))


def study(tx: Connection, study_id: int) -> dict[str, Any]:
    """Return all that is known of one study: series, revisions, verdicts, scores, deliveries, journal."""
    facts = _plain(tx.execute(select(_ST).where(_ST.c.id == study_id)).mappings().one())
    rows = tx.execute(select(_SE).where(_SE.c.study_id == study_id).order_by(_SE.c.id)).mappings().all()
    facts["series"] = [_series(tx, _plain(row)) for row in rows]
    facts["notices"] = of_study(tx, study_id)
    facts["journal"] = [
        _plain(row)
        for row in tx.execute(
            select(schema.journal).where(schema.journal.c.study_id == study_id).order_by(schema.journal.c.id)
        ).mappings()
    ]
    return facts


def find_by_id(tx: Connection, study_id: int) -> dict[str, Any] | None:
    """Return what `study` does; None where there is no such study."""
    if not 0 < study_id < 2**31:  # no database has such a key, and some raise
        return None
    known = tx.scalar(select(_ST.c.id).where(_ST.c.id == study_id))
    return None if known is None else study(tx, study_id)


def series_ids(tx: Connection, study_ids: list[int]) -> list[int]:
    """Return the ids of all series of some studies."""
    return list(tx.scalars(select(_SE.c.id).where(_SE.c.study_id.in_(study_ids))))


def counts(tx: Connection) -> dict[str, int]:
    """Return how many series, jobs and deliveries are in each state, as ``series.receiving`` and so on."""
    found: dict[str, int] = {}
    for name, table in (("series", _SE), ("jobs", _J), ("deliveries", _D)):
        for state, number in tx.execute(select(table.c.state, func.count()).group_by(table.c.state)):
            found[f"{name}.{state}"] = number
    return found


def _series(tx: Connection, row: dict[str, Any]) -> dict[str, Any]:
    row.pop("preference")
    row["jobs"] = [
        _plain(job) for job in tx.execute(select(_J).where(_J.c.series_id == row["id"]).order_by(_J.c.id)).mappings()
    ]
    row["results"] = []
    for result in tx.execute(select(_R).where(_R.c.series_id == row["id"]).order_by(_R.c.id)).mappings():
        reports = []
        for report in tx.execute(select(_P).where(_P.c.result_id == result["id"])).mappings():
            sent = tx.execute(select(_D).where(_D.c.report_id == report["id"]).order_by(_D.c.id)).mappings()
            reports.append({**_plain(report), "deliveries": [_plain(d) for d in sent]})
        row["results"].append({**_plain(result), "reports": reports})
    return row


def _plain(row: Any) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
