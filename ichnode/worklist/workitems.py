"""Work items that the node performs for others: offered, claimed, begun, completed, canceled, lost; each as a row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from ichnode.core.findings import Warned
from ichnode.core.lifecycle import WORKITEM, WorkitemState, sources, target
from ichnode.core.workitem import CodedEntry, Input, Workitem
from ichnode.worklist import schema
from ichnode.worklist.database import new_key, note
from ichnode.worklist.urgency import hasten_inputs
from ichnode.worklist.workitem_tables import inputs, workitems

_W, _I, _ST = workitems, inputs, schema.studies
_OPEN = (WorkitemState.OFFERED, WorkitemState.CLAIMED, WorkitemState.WORKING)


@dataclass(frozen=True, slots=True)
class Task:
    """A work item in hand.

    Attributes
    ----------
    codes : tuple of CodedEntry
        What it asks for.
    refused : int
        How often in a row the service did not take its end.
    told : str or None
        The progress that the service knows.
    error : str or None
        Why the last attempt was in vain.
    """

    id: int
    workitem_uid: str
    transaction_uid: str
    state: str
    codes: tuple[CodedEntry, ...]
    attempts: int
    refused: int
    offered_at: datetime
    claimed_at: datetime | None
    told: str | None
    error: str | None


_COLUMNS = tuple(_W.c[name] for name in Task.__dataclass_fields__)


def offer(tx: Connection, now: datetime, found: Workitem, transaction_uid: str) -> Task | None:
    """Write down that an item is about to be claimed; None where it is known, and was not lost.

    Parameters
    ----------
    transaction_uid : str
        For a new one; one that is offered again keeps its own.
    """
    known = tx.execute(select(_W.c.id, _W.c.state).where(_W.c.workitem_uid == found.uid)).first()
    if known is not None:
        again = {"not_before": now, "refused": 0, "ended_at": None, "told": None, "error": None}
        if not _move(tx, known.id, known.state, "offer_again", **again):
            return None
        return _offered(tx, now, known.id, found)
    task_id = new_key(
        tx,
        insert(_W).values(
            workitem_uid=found.uid, transaction_uid=transaction_uid, state=WorkitemState.OFFERED, attempts=0,
            codes=[], not_before=now, offered_at=now,
        ),
    )  # fmt: skip
    return _offered(tx, now, task_id, found)


def due(tx: Connection, now: datetime) -> list[Task]:
    """Return what is in hand and may be gone on with, that which waits longest first."""
    found = select(*_COLUMNS).where(_W.c.state.in_(_OPEN), _W.c.not_before <= now).order_by(_W.c.not_before, _W.c.id)
    return [_task(row) for row in tx.execute(found)]


def in_hand(tx: Connection) -> list[Task]:
    """Return all that is in hand, the oldest first."""
    return [_task(row) for row in tx.execute(select(*_COLUMNS).where(_W.c.state.in_(_OPEN)).order_by(_W.c.id))]


def settled(tx: Connection, now: datetime, uids: Collection[str]) -> set[str]:
    """Return those of some items that this node has, or has ended; those that it lost, for a while."""
    is_settled = or_(_W.c.state != WorkitemState.LOST, _W.c.not_before > now)
    return set(tx.scalars(select(_W.c.workitem_uid).where(_W.c.workitem_uid.in_(uids), is_settled)))


def inputs_of(tx: Connection, task: Task) -> list[Input]:
    """Return the series that an item asks for."""
    found = select(_I.c.study_instance_uid, _I.c.series_instance_uid, _I.c.said, _I.c.places)
    rows = tx.execute(found.where(_I.c.workitem_id == task.id).order_by(_I.c.id))
    return [Input(row[0], row[1], row[2], tuple(row[3])) for row in rows]


def claim(tx: Connection, now: datetime, task: Task) -> None:
    """The service has given it to this node."""
    if _move(tx, task.id, task.state, "claim", claimed_at=now, **_fresh(now)):
        _note(tx, now, "workitem.claimed", task)


def ask_anew(tx: Connection, task: Task, found: Workitem) -> None:
    """Write down what it asks for as it stands now that nobody else may change it; that is no transition."""
    codes = [[code.value, code.scheme, code.meaning] for code in found.codes]
    tx.execute(
        update(_W).where(_W.c.id == task.id, _W.c.state == task.state).values(codes=codes, is_urgent=found.is_urgent)
    )
    tx.execute(delete(_I).where(_I.c.workitem_id == task.id))
    for one in {(i.study_instance_uid, i.series_instance_uid): i for i in found.inputs}.values():
        tx.execute(
            insert(_I).values(
                workitem_id=task.id, study_instance_uid=one.study_instance_uid,
                series_instance_uid=one.series_instance_uid, said=one.images, places=list(one.places),
            )
        )  # fmt: skip


def begin(tx: Connection, now: datetime, task: Task) -> None:
    """Its input is here, or is being fetched; what is here is urgent from now on if the item is."""
    if _move(tx, task.id, task.state, "begin", **_fresh(now)):
        hasten_inputs(tx, now, task.id)
        _note(tx, now, "workitem.begun", task)


def tell(tx: Connection, now: datetime, task: Task, told: str) -> None:
    """The service knows the progress; that is no transition."""
    tx.execute(update(_W).where(_W.c.id == task.id, _W.c.state == task.state).values(told=told, **_fresh(now)))


def complete(tx: Connection, now: datetime, task: Task, outputs: int) -> None:
    """The service has it as COMPLETED."""
    if _move(tx, task.id, task.state, "complete", ended_at=now, **_fresh(now)):
        _note(tx, now, "workitem.completed", task, outputs=outputs)


def cancel(tx: Connection, now: datetime, task: Task, reason: Warned) -> None:
    """The service has it as CANCELED, with the reason."""
    values = {**_fresh(now), "error": reason.sentence, "reason_code": reason.code}
    if _move(tx, task.id, task.state, "cancel", ended_at=now, **values):
        _note(tx, now, "workitem.canceled", task, reason=reason.code)


def lose(tx: Connection, now: datetime, task: Task, why: str, not_before: datetime) -> None:
    """It is not this node's: another performer has it, or it is gone. It is not offered again before `not_before`."""
    values = {"attempts": task.attempts + 1, "not_before": not_before, "error": why}
    if _move(tx, task.id, task.state, "lose", ended_at=now, **values):
        _note(tx, now, "workitem.lost", task, why=why)


def put_off(tx: Connection, task: Task, error: str, not_before: datetime, *, is_refused: bool) -> None:
    """The service could not be told now, or refused; that is no transition."""
    tx.execute(
        update(_W)
        .where(_W.c.id == task.id, _W.c.state == task.state)
        .values(attempts=task.attempts + 1, refused=task.refused + is_refused, not_before=not_before, error=error)
    )


def counts(tx: Connection) -> dict[str, int]:
    """Return how many work items are in each state."""
    found = {str(state): 0 for state in WorkitemState}
    for state, number in tx.execute(select(_W.c.state, func.count()).group_by(_W.c.state)):
        found[state] = number
    return found


def _fresh(now: datetime) -> dict[str, Any]:
    return {"attempts": 0, "refused": 0, "not_before": now, "error": None}


def _offered(tx: Connection, now: datetime, task_id: int, found: Workitem) -> Task:
    task = _task(tx.execute(select(*_COLUMNS).where(_W.c.id == task_id)).one())
    ask_anew(tx, task, found)
    _note(tx, now, "workitem.offered", task)
    return task


def _task(row: Sequence[Any]) -> Task:
    values = dict(zip(Task.__dataclass_fields__, row, strict=True))
    values["codes"] = tuple(CodedEntry(*code) for code in values["codes"])
    return Task(**values)


def _move(tx: Connection, task_id: int, before: str, event: str, **values: Any) -> bool:
    changed = tx.execute(
        update(_W)
        .where(_W.c.id == task_id, _W.c.state == before, _W.c.state.in_(sources(WORKITEM, event)))
        .values(state=target(WORKITEM, event), **values)
    ).rowcount
    return bool(changed)


def _note(tx: Connection, now: datetime, event: str, task: Task, **detail: Any) -> None:
    """Write a journal row, of the study of the first input where that is here."""
    first = select(_ST.c.id).join(_I, _I.c.study_instance_uid == _ST.c.study_instance_uid)
    study_id = tx.scalar(first.where(_I.c.workitem_id == task.id).order_by(_I.c.id).limit(1))
    note(tx, now, event, study_id, None, workitem=task.id, **detail)
