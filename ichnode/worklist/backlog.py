"""What waits, in which state and since when; how much is held for whom. All of the worklist, in one look."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select

from ichnode.core.lifecycle import DeliveryState, JobState
from ichnode.worklist import schema, upkeep_tables
from ichnode.worklist.standing_table import standings

_D, _J, _S, _N, _A = schema.deliveries, schema.jobs, schema.series, schema.notices, schema.associations


def by_state(tx: Connection) -> dict[str, dict[tuple[str, ...], int]]:
    """Return the numbers of series and jobs by state (and kind), and of deliveries by destination and state."""
    found: dict[str, dict[tuple[str, ...], int]] = {}
    groups: tuple[tuple[str, Table, tuple[Any, ...]], ...] = (
        ("series", _S, (_S.c.state,)),
        ("jobs", _J, (_J.c.kind, _J.c.state)),
        ("deliveries", _D, (_D.c.destination, _D.c.state)),
    )
    for name, table, columns in groups:
        rows = tx.execute(select(*columns, func.count()).select_from(table).group_by(*columns)).all()
        found[name] = {tuple(row[:-1]): row[-1] for row in rows}
    return found


def oldest(tx: Connection) -> dict[str, datetime | None]:
    """Return since when the oldest analysis, the oldest report job and the oldest unfinished series wait."""
    waiting = (JobState.QUEUED, JobState.RUNNING)
    queued = {
        kind: _time(tx.scalar(select(func.min(_J.c.queued_at)).where(_J.c.kind == kind, _J.c.state.in_(waiting))))
        for kind in ("analyse", "report")
    }
    return {
        "receive": _time(tx.scalar(select(func.min(_S.c.last_slice_at)).where(_S.c.state == "receiving"))), **queued
    }  # fmt: skip


def unread(tx: Connection) -> dict[str, int]:
    """Return how many studies nobody has signed off, by what the worklist shows of them."""
    studies = schema.studies
    rows = tx.execute(
        select(standings.c.status, func.count())
        .join(studies, studies.c.id == standings.c.study_id)
        .where(studies.c.read_at.is_(None))
        .group_by(standings.c.status)
    ).all()
    return {row[0]: row[1] for row in rows}


def open_associations(tx: Connection, boot_id: str) -> int:
    """Return how many associations this start of the node has open."""
    return tx.scalar(select(func.count()).where(_A.c.boot_id == boot_id, _A.c.ended_at.is_(None))) or 0


def to_unlink(tx: Connection) -> int:
    """Return how many files of purged series are still to be unlinked."""
    return tx.scalar(select(func.count()).select_from(upkeep_tables.removals)) or 0


def waiting_for(tx: Connection, name: str) -> datetime | None:
    """Return since when the oldest delivery to a destination or channel waits."""
    states = (DeliveryState.PENDING, DeliveryState.SENDING)
    return _time(tx.scalar(select(func.min(_D.c.created_at)).where(_D.c.destination == name, _D.c.state.in_(states))))


def _time(given: Any) -> datetime | None:
    return datetime.fromisoformat(given) if isinstance(given, str) else given
