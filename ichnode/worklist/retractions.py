"""Taking back what was said: a result is marked here, its rejection note is made from the mark, once, by the node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from ichnode.core.findings import Verdict
from ichnode.core.lifecycle import DELIVERY, DeliveryState, sources, target
from ichnode.core.triage import URGENCY
from ichnode.worklist import schema
from ichnode.worklist.database import note
from ichnode.worklist.notices import look_again
from ichnode.worklist.readings import reopen_retracted
from ichnode.worklist.reports import REJECTION, ReportRow, file_report

_R, _P, _D, _S = schema.results, schema.reports, schema.deliveries, schema.series
_OPPOSITE = {Verdict.POSITIVE: Verdict.NEGATIVE, Verdict.NEGATIVE: Verdict.POSITIVE}

WRONG_RESULT, WRONG_PATIENT = "wrong-result", "wrong-patient"


@dataclass(frozen=True, slots=True)
class Retraction:
    """A result that was taken back and whose rejection note is still to be made.

    Attributes
    ----------
    because : str
        ``wrong-result`` or ``wrong-patient``.
    remark : str
        In the words of who took it back; may be empty.
    at : datetime
        When it was taken back.
    offered : tuple of (ReportRow, destination)
        Each object that a destination has, or may have.
    """

    result_id: int
    study_id: int
    series_id: int
    revision: int
    because: str
    remark: str
    at: datetime
    offered: tuple[tuple[ReportRow, str], ...]


def retract(tx: Connection, now: datetime, series_ids: Sequence[int], because: str, remark: str) -> int:
    """Take back the results of some series; returns how many.

    What is wrong is the current result; of a wrong patient it is everything that was ever sent. Who has read a study
    has read what holds no more: it is unread again.
    """
    chosen = [_R.c.series_id.in_(series_ids), or_(_R.c.retraction.is_(None), _R.c.retraction == "failed")]
    if because == WRONG_RESULT:
        chosen.append(_R.c.superseded_at.is_(None))
    rows = tx.execute(select(_R.c.id, _R.c.series_id, _S.c.study_id, _R.c.revision).join(_S).where(*chosen)).all()
    for row in rows:
        _mark(tx, now, row.id, because, remark)
        look_again(tx, now, row.study_id)
        reopen_retracted(tx, now, row.study_id)
        note(tx, now, "result.retracted", row.study_id, row.series_id, revision=row.revision, because=because)
    return len(rows)


def retract_overturned(tx: Connection, now: datetime, study_id: int, series_id: int, verdict: Verdict) -> None:
    """Take back the current result of a series whose call the new one, of `verdict`, turns into its opposite.

    Only where a destination has it, or may have it: else nobody has to hear of it. To be called before it steps back.
    """
    overturned = tx.execute(
        select(_R.c.id, _R.c.revision).where(
            _R.c.series_id == series_id,
            _R.c.superseded_at.is_(None),
            _R.c.retraction.is_(None),
            _R.c.verdict == _OPPOSITE.get(verdict, ""),
            select(_D.c.id).select_from(_D.join(_P)).where(_P.c.result_id == _R.c.id, _may_be_there()).exists(),
        )
    ).all()
    for row in overturned:
        _mark(tx, now, row.id, WRONG_RESULT, f"A later analysis of this series is {verdict}.")
        note(tx, now, "result.retracted", study_id, series_id, revision=row.revision, because="overturned")


def next_retraction(tx: Connection) -> Retraction | None:
    """Return the result that was taken back first and has no rejection note yet."""
    row = tx.execute(
        select(
            _R.c.id, _S.c.study_id, _R.c.series_id, _R.c.revision, _R.c.retracted_because, _R.c.retraction_remark,
            _R.c.retracted_at,
        )
        .join(_S)
        .where(_R.c.retraction == "due")
        .order_by(_R.c.id)
        .limit(1)
    ).first()  # fmt: skip
    if row is None:
        return None
    offered = tx.execute(
        select(
            _D.c.destination, _P.c.kind, _P.c.study_instance_uid, _P.c.series_instance_uid, _P.c.sop_class_uid,
            _P.c.sop_instance_uid, _P.c.file, _P.c.size,
        )
        .select_from(_D.join(_P))
        .where(_P.c.result_id == row.id, _may_be_there())
        .order_by(_P.c.id, _D.c.id)
    ).all()  # fmt: skip
    return Retraction(*row, offered=tuple((ReportRow(*report[1:]), report.destination) for report in offered))


def rejected(
    tx: Connection, now: datetime, retraction: Retraction, notes: Sequence[tuple[ReportRow, Sequence[str]]]
) -> bool:
    """Commit the rejection notes with a delivery for each destination, and withdraw what still waits to be sent.

    Returns
    -------
    bool
        False when it was done already; nothing is written then.
    """
    done = update(_R).where(_R.c.id == retraction.result_id, _R.c.retraction == "due").values(retraction="done")
    if not tx.execute(done).rowcount:
        return False
    waiting = select(_P.c.id).where(_P.c.result_id == retraction.result_id)
    tx.execute(
        update(_D)
        .where(_D.c.report_id.in_(waiting), _D.c.state.in_(sources(DELIVERY, "withdraw")))
        .values(state=target(DELIVERY, "withdraw"))
    )
    urgent = URGENCY["positive" if retraction.because == WRONG_PATIENT else "failed"]
    for row, destinations in notes:
        file_report(tx, now, retraction.result_id, row, urgent, destinations)
    note(tx, now, "result.rejected", retraction.study_id, retraction.series_id, notes=len(notes))
    return True


def not_rejected(tx: Connection, now: datetime, retraction: Retraction, error: str) -> None:
    """The rejection note cannot be made; visible until the result is taken back again."""
    tx.execute(update(_R).where(_R.c.id == retraction.result_id).values(retraction="failed"))
    note(tx, now, "result.not_rejected", retraction.study_id, retraction.series_id, error=error)


def _mark(tx: Connection, now: datetime, result_id: int, because: str, remark: str) -> None:
    values = {
        "retraction": "due", "retracted_at": now, "retracted_because": because, "retraction_remark": remark,
    }  # fmt: skip
    tx.execute(update(_R).where(_R.c.id == result_id).values(values))


def _may_be_there() -> ColumnElement[bool]:
    """An answer that is at a destination, or was on its way when nobody looked."""
    there = _D.c.state.not_in((DeliveryState.PENDING, DeliveryState.FAILED, DeliveryState.WITHDRAWN))
    return and_(_P.c.kind != REJECTION, or_(there, _D.c.attempts > 0))
