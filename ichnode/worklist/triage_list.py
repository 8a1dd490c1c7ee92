"""The worklist as people and programs see it: one page after the other, whatever the filter, in one order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Integer, Select, and_, bindparam, func, select, tuple_

from ichnode.core.triage import READ
from ichnode.worklist import schema
from ichnode.worklist.alarms import NO_RESULT
from ichnode.worklist.retrieval_tables import alarms
from ichnode.worklist.standing_table import standings

_ST, _SE, _W, _A = schema.studies, schema.series, standings, alarms
_OVERDUE = (_A.c.kind == NO_RESULT, _A.c.cleared_at.is_(None))
_ORDER = (_W.c.rank, _W.c.minus_score, _W.c.age_key, _W.c.study_id)
STATUSES = ("positive", "failed", "waiting", "running", "not_analysed", "negative", "retracted")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which studies are wanted; everything by default.

    Attributes
    ----------
    read : bool or None
        Only what was signed off, or only what was not.
    first_date, last_date : str
        Bounds of StudyDate, ``20260131``, both included.
    text : str
        Parts of the patient's name, of Patient ID or of Accession Number, with blanks or commas between; all must fit.
    """

    statuses: tuple[str, ...] = ()
    read: bool | None = None
    first_date: str = ""
    last_date: str = ""
    text: str = ""


Key = tuple[int, float, float, int]
"""Where a page begins or ends."""


def key_of(line: dict[str, Any]) -> Key:
    """Return the place of a line, from which the next page goes on."""
    return line["rank"], line["minus_score"], line["age_key"], line["id"]


def page(
    tx: Connection, most: int = 50, after: Key | None = None, before: Key | None = None, chosen: Chosen | None = None
) -> list[dict[str, Any]]:
    """Return studies: unread before read, then by urgency, score and age (`ichnode.core.triage`).

    Parameters
    ----------
    after, before : Key or None
        Only what comes after a line, or the `most` lines that come right before one.
    """
    wanted = _keys(chosen or Chosen(), after, before).limit(most)
    ids = [row.study_id for row in tx.execute(wanted)]
    return _lines(tx, ids[::-1] if before is not None else ids)


def counts(tx: Connection) -> dict[str, dict[str, int]]:
    """Return, for each status, how many studies are ``unread`` and how many there are in ``all``."""
    found = {status: {"unread": 0, "all": 0} for status in STATUSES}
    rows = tx.execute(select(_W.c.status, _W.c.rank, func.count()).group_by(_W.c.status, _W.c.rank))
    for status, rank, number in rows:
        found[status]["all"] += number
        if rank < READ:
            found[status]["unread"] += number
    return found


def _keys(chosen: Chosen, after: Key | None, before: Key | None) -> Select[Any]:
    backwards = before is not None
    query = select(_W.c.study_id).where(*_conditions(chosen))
    edge = before or after
    if edge is not None:
        kinds = (Integer, Float, Float, Integer)
        values = [bindparam(None, value, kind()) for value, kind in zip(edge, kinds, strict=True)]
        columns = tuple_(*_ORDER)
        query = query.where(columns < tuple_(*values) if backwards else columns > tuple_(*values))
    return query.order_by(*(column.desc() if backwards else column for column in _ORDER))


def _conditions(chosen: Chosen) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if len(chosen.statuses) == 1:
        found.append(_W.c.status == chosen.statuses[0])
    elif chosen.statuses:
        found.append(_W.c.status.in_(chosen.statuses))
    if chosen.read is not None:
        found.append(_W.c.rank >= READ if chosen.read else _W.c.rank < READ)
    if chosen.first_date:
        found.append(_W.c.study_date >= chosen.first_date)
    if chosen.last_date:
        found.append(_W.c.study_date <= chosen.last_date)
    # A name is typed as it is read, "LIND, ASTRID", and kept as it came, "LIND^ASTRID^M" (PS3.5 6.2.1).
    parts = re.split(r"[\s,^=]+", chosen.text.casefold())
    wanted = [part for part in parts if part] or [part for part in (chosen.text.strip(),) if part]
    found += [_W.c.search.contains(part, autoescape=True) for part in wanted]
    return found


def _lines(tx: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    rows = tx.execute(
        select(
            _W, _ST.c.study_instance_uid, _ST.c.patient_id, _ST.c.patient_name, _ST.c.patient_birth_date,
            _ST.c.patient_sex, _ST.c.accession_number, _ST.c.study_time, _ST.c.description, _ST.c.station_name,
            _ST.c.read_at, _ST.c.read_by, _ST.c.urgent_because, _A.c.since.label("overdue_since"),
        )
        .join(_ST)
        .outerjoin(_A, and_(_A.c.subject == _ST.c.study_instance_uid, *_OVERDUE))
        .where(_W.c.study_id.in_(ids))
    ).mappings()  # fmt: skip
    sizes = tx.execute(
        select(_SE.c.study_id, func.count().label("series"), func.sum(_SE.c.received).label("slices"))
        .where(_SE.c.study_id.in_(ids))
        .group_by(_SE.c.study_id)
    )
    size = {row.study_id: row for row in sizes}
    found = {row["study_id"]: dict(row) for row in rows}
    return [_line(found[number], size[number]) for number in ids]


def _line(row: dict[str, Any], size: Any) -> dict[str, Any]:
    del row["search"]
    row["id"] = row.pop("study_id")
    row["last_slice_at"] = row.pop("arrived_at")
    times = {key: value.isoformat() for key, value in row.items() if isinstance(value, datetime)}
    return {**row, **times, "series": size.series, "slices": int(size.slices or 0)}
