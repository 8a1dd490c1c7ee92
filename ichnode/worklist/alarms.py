"""Alarms: a study that should have been answered by now, a sender that fell silent. Raised once, cleared by facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update

from ichnode.worklist import schema
from ichnode.worklist.database import note
from ichnode.worklist.retrieval_tables import alarms, retrievals
from ichnode.worklist.retrievals import SHOULD_HAVE_COME
from ichnode.worklist.standing_table import standings

NO_RESULT, SILENT_SENDER = "no_result", "silent_sender"
_A, _R, _ST, _W, _AS = alarms, retrievals, schema.studies, standings, schema.associations
_UNFETCHED = ("pending", "fetching", "failed")


def without_result(tx: Connection, now: datetime, minutes: float, look_back_h: float) -> dict[str, datetime]:
    """Return the studies that have waited longer for their answer, with the time since when.

    Those that are here without an answer since their last slice; and those of which nothing is here, since the archive
    listed them, for as long as a look takes them in. Studies that an order fetches are left out: nobody waits for them.
    """
    late = now - timedelta(minutes=minutes)
    unanswered = (
        select(_ST.c.study_instance_uid, _W.c.arrived_at)
        .join(_W, _W.c.study_id == _ST.c.id)
        .where(_W.c.verdict == "pending", _W.c.arrived_at <= late, _ST.c.ordered_at.is_(None))
    )
    found = {row[0]: row[1] for row in tx.execute(unanswered)}
    never_came = (
        select(_R.c.study_instance_uid, func.min(_R.c.created_at, type_=_R.c.created_at.type))
        .where(
            _R.c.urgency == SHOULD_HAVE_COME, _R.c.state.in_(_UNFETCHED), _R.c.created_at <= late,
            _R.c.created_at > now - timedelta(hours=look_back_h, minutes=minutes),
            ~select(_ST.c.id).where(_ST.c.study_instance_uid == _R.c.study_instance_uid).exists(),
        )
        .group_by(_R.c.study_instance_uid)
    )  # fmt: skip
    for uid, since in tx.execute(never_came):
        found.setdefault(uid, since)
    return found


def silent_senders(tx: Connection, now: datetime, hours: Mapping[str, float]) -> dict[str, datetime]:
    """Return the AE titles that have sent before and not for longer than their `hours`, with their last association."""
    found = {}
    for aet, silent_h in hours.items():
        last = tx.scalar(select(func.max(_AS.c.opened_at, type_=_AS.c.opened_at.type)).where(_AS.c.calling_aet == aet))
        if last is not None and last <= now - timedelta(hours=silent_h):
            found[aet] = last
    return found


def raise_alarm(tx: Connection, now: datetime, kind: str, subject: str, since: datetime) -> bool:
    """Raise an alarm, once; False where it is raised already."""
    if _open_id(tx, kind, subject) is not None:
        return False
    tx.execute(insert(_A).values(kind=kind, subject=subject, since=since, raised_at=now))
    note(tx, now, f"alarm.{kind}", study_number(tx, subject), None, since=since.isoformat())
    return True


def clear_alarm(tx: Connection, now: datetime, kind: str, subject: str) -> bool:
    """Clear an alarm whose reason is gone; False where there is none."""
    open_id = _open_id(tx, kind, subject)
    if open_id is None:
        return False
    tx.execute(update(_A).where(_A.c.id == open_id).values(cleared_at=now))
    note(tx, now, "alarm.cleared", study_number(tx, subject), None, kind=kind)
    return True


def raised(tx: Connection, kind: str) -> dict[str, datetime]:
    """Return what alarms of a kind are raised about, with the time since when."""
    rows = select(_A.c.subject, _A.c.since).where(_A.c.kind == kind, _A.c.cleared_at.is_(None)).order_by(_A.c.since)
    return {row[0]: row[1] for row in tx.execute(rows)}


def count(tx: Connection, kind: str = NO_RESULT) -> int:
    """Return how many alarms of a kind are raised: of overdue studies by default."""
    return tx.scalar(select(func.count()).where(_A.c.kind == kind, _A.c.cleared_at.is_(None))) or 0


def _open_id(tx: Connection, kind: str, subject: str) -> int | None:
    return tx.scalar(select(_A.c.id).where(_A.c.kind == kind, _A.c.subject == subject, _A.c.cleared_at.is_(None)))


def study_number(tx: Connection, subject: str) -> int | None:
    """Return the number in the worklist of the study that an alarm is about; None where it is not here, or none."""
    return tx.scalar(select(_ST.c.id).where(_ST.c.study_instance_uid == subject))
