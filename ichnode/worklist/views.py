"""Reading what is known of studies: what `ichnode show` prints. Nothing here changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from ichnode.core.lifecycle import SeriesState
from ichnode.worklist import schema
from ichnode.worklist.told import of_study

_ST, _SE, _J, _R, _P, _D = (
    schema.studies, schema.series, schema.jobs, schema.results, schema.reports, schema.deliveries,
)  # fmt: skip


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


def study_ids(tx: Connection) -> list[int]:
    """Return the ids of all studies, in the order in which they came."""
    return list(tx.scalars(select(_ST.c.id).order_by(_ST.c.id)))


def analysed_series(tx: Connection, study_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return (study, series) of every series of these studies whose current result is positive or negative.

    Results that were taken back are left out: the images may be another patient's. So are series whose images are gone.
    """
    rows = tx.execute(
        select(_SE.c.study_id, _SE.c.id)
        .join(_R, _R.c.series_id == _SE.c.id)
        .where(
            _SE.c.study_id.in_(study_ids),
            _R.c.verdict.in_(("positive", "negative")),
            _R.c.superseded_at.is_(None),
            _R.c.retraction.is_(None),
            _SE.c.state != SeriesState.PURGED,
        )
        .order_by(_SE.c.study_id, _SE.c.id)
    )
    return [(study, series) for study, series in rows]


def study_uids(tx: Connection, study_ids: Sequence[int]) -> list[str]:
    """Return the Study Instance UIDs of some studies."""
    return list(tx.scalars(select(_ST.c.study_instance_uid).where(_ST.c.id.in_(study_ids))))


def studies_of(tx: Connection, series_ids: Sequence[int]) -> list[int]:
    """Return the studies that series are of, each once."""
    chosen = select(_SE.c.study_id).where(_SE.c.id.in_(series_ids)).distinct()
    return list(tx.scalars(chosen.order_by(_SE.c.study_id)))


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
