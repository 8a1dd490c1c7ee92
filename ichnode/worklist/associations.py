"""Associations of peers: how a slice came is evidence for completeness."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from ichnode.worklist import schema
from ichnode.worklist.database import new_key


def open_association(
    tx: Connection, at: datetime, boot_id: str, address: str, calling_aet: str, receiver: int | None = None
) -> int:
    """Record that a peer was let in, by one of the node's processes. Returns the association's id."""
    values = {"boot_id": boot_id, "address": address, "calling_aet": calling_aet, "opened_at": at, "receiver": receiver}
    return new_key(tx, insert(schema.associations).values(values))


def lose_associations(tx: Connection, at: datetime, boot_id: str, receiver: int) -> int:
    """Record that a receiving process of a boot has ended, and its associations with it; returns how many."""
    table = schema.associations
    of_receiver = table.c.boot_id == boot_id, table.c.receiver == receiver, table.c.ended_at.is_(None)
    return tx.execute(update(table).where(*of_receiver).values(ended_at=at, ending="lost")).rowcount


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
