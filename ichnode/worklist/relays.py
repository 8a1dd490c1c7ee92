"""How far the audit journal has been sent on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ichnode.worklist import schema
from ichnode.worklist.people import audit
from ichnode.worklist.upkeep_tables import relays

ATNA = "[audit]"
"""The audit record repository: its name in `relays`, and of its circuit. No destination can have it."""


def begin(tx: Connection, name: str, since: datetime) -> None:
    """Send on what was written `since`, where nothing was ever sent on; to be called at each start."""
    if tx.scalar(select(relays.c.name).where(relays.c.name == name)) is None:
        last = tx.scalar(select(func.max(audit.c.id)).where(audit.c.at < since)) or 0
        tx.execute(insert(relays).values(name=name, last_id=last))


def next_rows(tx: Connection, name: str, most: int) -> list[dict[str, Any]]:
    """Return the rows of the audit journal that come next, the oldest first."""
    last = select(relays.c.last_id).where(relays.c.name == name).scalar_subquery()
    return [dict(row) for row in tx.execute(
        select(audit).where(audit.c.id > last).order_by(audit.c.id).limit(most)
    ).mappings()]  # fmt: skip


def sent(tx: Connection, name: str, last_id: int) -> None:
    """Everything up to this row has arrived."""
    tx.execute(update(relays).where(relays.c.name == name).values(last_id=last_id))


def waiting(tx: Connection, name: str) -> int:
    """Return how many rows are still to be sent on."""
    last = select(relays.c.last_id).where(relays.c.name == name).scalar_subquery()
    return tx.scalar(select(func.count()).select_from(audit).where(audit.c.id > last)) or 0


def concerned(tx: Connection, study_ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return Study Instance UID and patient's ID of some studies."""
    studies = schema.studies
    rows = tx.execute(
        select(studies.c.id, studies.c.study_instance_uid, studies.c.patient_id).where(
            studies.c.id.in_(list(study_ids))
        )
    )
    return {row[0]: (row[1], row[2]) for row in rows}
