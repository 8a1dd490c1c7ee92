"""Destinations and channels that a person has paused: everything for them waits, and nothing counts as given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from ichnode.core.lifecycle import DELIVERY, sources
from ichnode.worklist import schema
from ichnode.worklist.database import note

_O, _D = schema.destinations, schema.deliveries


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when, and by whom."""

    paused_at: datetime
    paused_by: str


def pause_of(tx: Connection, destination: str) -> Pause | None:
    """Return the pause of a destination or channel, if it has one."""
    row = tx.execute(
        select(_O.c.paused_at, _O.c.paused_by).where(_O.c.name == destination, _O.c.paused_at.is_not(None))
    ).first()
    return Pause(*row) if row else None


def pause(tx: Connection, now: datetime, destination: str, by: str) -> bool:
    """Send nothing to a destination until `resume`; what is on its way arrives. False when it is paused already."""
    if pause_of(tx, destination) is not None:
        return False
    values = {"paused_at": now, "paused_by": by}
    if tx.execute(update(_O).where(_O.c.name == destination).values(values)).rowcount == 0:
        tx.execute(insert(_O).values(name=destination, failures=0, **values))
    note(tx, now, "destination.paused", None, None, destination=destination, by=by)
    return True


def resume(tx: Connection, now: datetime, destination: str, by: str) -> bool:
    """Send again, at once; the time to give up counts anew. False when it was not paused."""
    changed = tx.execute(
        update(_O)
        .where(_O.c.name == destination, _O.c.paused_at.is_not(None))
        .values(paused_at=None, paused_by=None, open_until=None)
    ).rowcount
    if not changed:
        return False
    tx.execute(
        update(_D)
        .where(_D.c.destination == destination, _D.c.state.in_(sources(DELIVERY, "claim")))
        .values(retry_since=now)
    )
    note(tx, now, "destination.resumed", None, None, destination=destination, by=by)
    return True
