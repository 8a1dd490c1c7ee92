"""Starts of nodes, which of them are alive, and which one leads.

Several nodes may share a worklist. Each says every few seconds that it is there; one that has been silent for too long
is taken for dead, and what it held is free. The one that was started first leads: it does what only one may do.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from ichnode.worklist import schema

_B, _A = schema.boots, schema.associations


def begin_boot(tx: Connection, at: datetime, version: str, place: str = "") -> str:
    """Record a start of a node; older boots of its place have ended, and the associations they left open are lost.

    Parameters
    ----------
    place : str
        Where it runs: there is one node at a time in each.

    Returns
    -------
    str
        The boot's id.
    """
    boot_id = str(uuid.uuid4())
    of_place = or_(_B.c.place == place, _B.c.place.is_(None))  # of a version that knew of no other node
    tx.execute(update(_B).where(_B.c.ended_at.is_(None), of_place).values(ended_at=at))
    tx.execute(insert(_B).values(id=boot_id, started_at=at, version=version, place=place, seen_at=at))
    _lose_associations(tx, at)
    return boot_id


def end_boot(tx: Connection, at: datetime, boot_id: str) -> None:
    """Record an orderly stop."""
    tx.execute(update(_B).where(_B.c.id == boot_id).values(ended_at=at))


def worker_is(tx: Connection, at: datetime, boot_id: str, state: str, device: str | None = None) -> None:
    """Record what the worker of a boot is: ``loading``, ``ready`` on a device, or ``ended``.

    Of a pool, ``unreachable`` and ``no worker`` as well.
    """
    values = {"worker_state": state, "worker_at": at, "worker_device": device}
    tx.execute(update(_B).where(_B.c.id == boot_id).values(values))


def beat(tx: Connection, at: datetime, boot_id: str, silent_s: float) -> tuple[bool, list[str]]:
    """Say that this node is there, and bury those that have been silent for `silent_s` seconds.

    Returns
    -------
    (bool, list of str)
        Whether others took this one for dead meanwhile, and have what it held; the boots that were buried now.
    """
    was_dead = tx.scalar(select(_B.c.ended_at).where(_B.c.id == boot_id)) is not None
    tx.execute(update(_B).where(_B.c.id == boot_id).values(seen_at=at, ended_at=None))
    dead = list(tx.scalars(select(_B.c.id).where(_B.c.ended_at.is_(None), _B.c.id != boot_id, ~_is_seen(at, silent_s))))
    if dead:
        tx.execute(update(_B).where(_B.c.id.in_(dead)).values(ended_at=at))
        _lose_associations(tx, at)
    return was_dead, dead


def living(tx: Connection, now: datetime, silent_s: float) -> list[str]:
    """Return the boots that are alive; the first one leads."""
    alive = and_(_B.c.ended_at.is_(None), _is_seen(now, silent_s))
    return list(tx.scalars(select(_B.c.id).where(alive).order_by(_B.c.started_at, _B.c.id)))


def _is_seen(now: datetime, silent_s: float) -> ColumnElement[bool]:
    return and_(_B.c.seen_at.is_not(None), _B.c.seen_at > now - timedelta(seconds=silent_s))


def _lose_associations(tx: Connection, at: datetime) -> None:
    ended = select(_B.c.id).where(_B.c.ended_at.is_not(None))
    tx.execute(update(_A).where(_A.c.ended_at.is_(None), _A.c.boot_id.in_(ended)).values(ended_at=at, ending="lost"))
