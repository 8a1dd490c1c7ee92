"""The call on a study: which of the current answers of its series stands for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, or_, select

from ichnode.core.alerts import Call, Called
from ichnode.core.lifecycle import JobState, SeriesState
from ichnode.core.reasons import NO_ANSWER_EXPECTED
from ichnode.worklist import schema

_R, _S, _J = schema.results, schema.series, schema.jobs
_ORDER = (Called.POSITIVE, Called.NEGATIVE, Called.RETRACTED, Called.FAILED, Called.NOT_ANALYSED)


@dataclass(frozen=True, slots=True)
class Standing:
    """The answer that stands for a study.

    Attributes
    ----------
    result_id : int
        The result that it is taken from.
    made_at : datetime
        When it was made, or taken back.
    """

    call: Call
    result_id: int
    made_at: datetime


def standing(tx: Connection, study_id: int) -> tuple[Standing | None, bool]:
    """Return the answer that stands for a study, and whether slices or analyses of it are still on their way.

    A positive one before all others, the highest score first; of those that were not analysed first one that failed,
    then one of a series that somebody may think was read.
    """
    rows = tx.execute(
        select(_R, _S.c.reason_code).join(_S).where(_S.c.study_id == study_id, _R.c.superseded_at.is_(None))
    ).all()
    unfinished = exists().where(_J.c.series_id == _S.c.id, _J.c.state.in_((JobState.QUEUED, JobState.RUNNING)))
    is_open = tx.scalar(
        select(_S.c.id).where(_S.c.study_id == study_id, or_(_S.c.state == SeriesState.RECEIVING, unfinished)).limit(1)
    )
    best = min(rows, key=_place, default=None)
    return (None if best is None else _standing(best)), is_open is not None


def _place(row: Row[Any]) -> tuple[int, float, bool, int]:
    return _ORDER.index(_called(row)), -(row.any_score or 0.0), not _is_expected(row), -row.id


def _is_expected(row: Row[Any]) -> bool:
    return (row.outcome.get("reason") or {}).get("code") not in NO_ANSWER_EXPECTED


def _called(row: Row[Any]) -> Called:
    if row.retraction is not None:
        return Called.RETRACTED
    if row.verdict == Called.NOT_ANALYSED and row.reason_code is None:
        return Called.FAILED  # it was to be analysed
    return Called(row.verdict)


def _standing(row: Row[Any]) -> Standing:
    called = _called(row)
    findings = [] if called is Called.RETRACTED else row.outcome["findings"]
    call = Call(
        called,
        {finding["name"]: finding["score"] for finding in findings},
        frozenset(finding["name"] for finding in findings if finding["score"] >= finding["threshold"]),
        _is_expected(row),
        called in (Called.POSITIVE, Called.NEGATIVE) and row.preliminary,
    )
    return Standing(call, row.id, row.retracted_at if called is Called.RETRACTED else row.created_at)
