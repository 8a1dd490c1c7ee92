"""Boots of the node and associations of its peers: how a slice came is evidence for completeness."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from ichnode.worklist import schema
from ichnode.worklist.database import new_key


def begin_boot(tx: Connection, at: datetime, version: str) -> str:
    """Record a start of the node; associations that older boots left open are lost. Returns the boot's id."""
    boot_id = str(uuid.uuid4())
    tx.execute(insert(schema.boots).values(id=boot_id, started_at=at, version=version))
    tx.execute(
        update(schema.associations)
        .where(schema.associations.c.ended_at.is_(None), schema.associations.c.boot_id != boot_id)
        .values(ended_at=at, ending="lost")
    )
    return boot_id


def end_boot(tx: Connection, at: datetime, boot_id: str) -> None:
    """Record an orderly stop."""
    tx.execute(update(schema.boots).where(schema.boots.c.id == boot_id).values(ended_at=at))


def worker_is(tx: Connection, at: datetime, boot_id: str, state: str, device: str | None = None) -> None:
    """Record what the worker of a boot is: ``loading``, ``ready`` on a device, or ``ended``."""
    values = {"worker_state": state, "worker_at": at, "worker_device": device}
    tx.execute(update(schema.boots).where(schema.boots.c.id == boot_id).values(values))


def open_association(tx: Connection, at: datetime, boot_id: str, address: str, calling_aet: str) -> int:
    """Record that a peer was let in. Returns the association's id."""
    row = insert(schema.associations).values(boot_id=boot_id, address=address, calling_aet=calling_aet, opened_at=at)
    return new_key(tx, row)


def end_association(tx: Connection, at: datetime, association_id: int, ending: str) -> int:
    """Record how an association ended ("released", "aborted" or "lost").

    Returns
    -------
    int
        How many series that are still being received got slices through it; these are due now.
    """
    tx.execute(
        update(schema.associations)
        .where(schema.associations.c.id == association_id, schema.associations.c.ended_at.is_(None))
        .values(ended_at=at, ending=ending)
    )
    touched = select(schema.instances.c.series_id).where(schema.instances.c.association_id == association_id)
    return tx.execute(
        update(schema.series)
        .where(schema.series.c.id.in_(touched), schema.series.c.state == "receiving")
        .values(due_at=at)
    ).rowcount
