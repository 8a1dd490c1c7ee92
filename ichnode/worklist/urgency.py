"""What makes a study urgent, and how the jobs of its series come to know."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from ichnode.core.lifecycle import WorkitemState
from ichnode.core.urgency import WORKITEM, Said, Urgency, urgency_of
from ichnode.worklist import schema
from ichnode.worklist.database import note
from ichnode.worklist.workitem_tables import inputs, workitems

_ST, _S, _J, _I, _W = schema.studies, schema.series, schema.jobs, inputs, workitems


def hasten(tx: Connection, now: datetime, study_id: int, said: Said) -> None:
    """Let a study be urgent from now on, and what waits of it; who said so first is kept."""
    unsaid = _ST.c.id == study_id, _ST.c.urgent_because.is_(None)
    if tx.execute(update(_ST).where(*unsaid).values(urgent_because=said.because)).rowcount:
        set_urgency(tx, study_id)
        note(tx, now, "study.urgent", study_id, None, because=said.because, said=said.detail)


def set_urgency(tx: Connection, study_id: int) -> None:
    """Give the jobs of a study the urgency that it has now."""
    row = tx.execute(select(_ST.c.urgent_because, _ST.c.ordered_at).where(_ST.c.id == study_id)).one()
    urgency = urgency_of(row.urgent_because is not None, row.ordered_at is not None)
    of_study = select(_S.c.id).where(_S.c.study_id == study_id)
    tx.execute(update(_J).where(_J.c.series_id.in_(of_study)).values(urgency=urgency))


def urgency_of_series(tx: Connection, series_id: int) -> Urgency:
    """Return how urgent work on a series is."""
    found = select(_ST.c.urgent_because, _ST.c.ordered_at).join(_S, _S.c.study_id == _ST.c.id)
    row = tx.execute(found.where(_S.c.id == series_id)).one()
    return urgency_of(row.urgent_because is not None, row.ordered_at is not None)


def asked_urgently(tx: Connection, study_uid: str) -> Said | None:
    """Return the work item in hand that asks for a study with high priority, if there is one."""
    found = tx.scalar(
        select(_W.c.id)
        .join(_I, _I.c.workitem_id == _W.c.id)
        .where(
            _I.c.study_instance_uid == study_uid, _W.c.is_urgent.is_(True),
            _W.c.state.in_((WorkitemState.CLAIMED, WorkitemState.WORKING)),
        )
        .limit(1)
    )  # fmt: skip
    return None if found is None else Said(WORKITEM, str(found))


def hasten_inputs(tx: Connection, now: datetime, workitem_id: int) -> None:
    """Let the studies of a work item of high priority, as far as they are here, be urgent."""
    of_item = select(_I.c.study_instance_uid).where(_I.c.workitem_id == workitem_id)
    is_urgent = tx.scalar(select(_W.c.is_urgent).where(_W.c.id == workitem_id))
    for study_id in tx.scalars(select(_ST.c.id).where(_ST.c.study_instance_uid.in_(of_item))) if is_urgent else ():
        hasten(tx, now, study_id, Said(WORKITEM, str(workitem_id)))
