"""What notices are about: read when they are sent and when somebody looks. Nothing here changes a row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from ichnode.worklist import schema

_N, _D, _R, _ST = schema.notices, schema.deliveries, schema.results, schema.studies


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice with the rows that it is about.

    Attributes
    ----------
    corrects, escalates : str or None
        `uid` of the notice that it takes the place of, or that nobody has answered.
    record : str
        `uid` of the first notice about the study to the channel.
    result, study : dict
        Columns of the result and the study.
    """

    uid: str
    channel: str
    kind: str
    called: str
    step: int | None
    created_at: datetime
    corrects: str | None
    escalates: str | None
    record: str
    result: dict[str, Any]
    study: dict[str, Any]


def notice(tx: Connection, notice_id: int) -> Notice:
    """Return a notice."""
    row = tx.execute(select(_N).where(_N.c.id == notice_id)).one()
    first = select(_N.c.uid).where(_N.c.study_id == row.study_id, _N.c.channel == row.channel).order_by(_N.c.ordinal)
    result = tx.execute(select(_R).where(_R.c.id == row.result_id)).mappings().one()
    study = tx.execute(select(_ST).where(_ST.c.id == row.study_id)).mappings().one()
    return Notice(
        row.uid, row.channel, row.kind, row.called, row.step, row.created_at, _uid(tx, row.corrects_id),
        _uid(tx, row.escalates_id), str(tx.scalar(first.limit(1))), dict(result), dict(study),
    )  # fmt: skip


def of_study(tx: Connection, study_id: int) -> list[dict[str, Any]]:
    """Return all that channels were told of a study, in order, each with the state of its delivery."""
    columns = (
        _N.c.uid, _N.c.channel, _N.c.kind, _N.c.called, _N.c.step, _N.c.created_at, _N.c.result_id, _D.c.state,
        _D.c.attempts, _D.c.delivered_at, _D.c.error,
    )  # fmt: skip
    rows = tx.execute(
        select(_N.c.corrects_id, _N.c.escalates_id, *columns)
        .join(_D, _D.c.notice_id == _N.c.id)
        .where(_N.c.study_id == study_id)
        .order_by(_N.c.id)
    ).mappings()
    found = []
    for row in rows:
        facts: dict[str, Any] = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
        corrects, escalates = facts.pop("corrects_id"), facts.pop("escalates_id")
        found.append({**facts, "corrects": _uid(tx, corrects), "escalates": _uid(tx, escalates)})
    return found


def _uid(tx: Connection, notice_id: int | None) -> str | None:
    found: str | None = tx.scalar(select(_N.c.uid).where(_N.c.id == notice_id)) if notice_id is not None else None
    return found
