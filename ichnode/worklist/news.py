"""What is new since somebody looked last."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from ichnode.core.triage import READ
from ichnode.worklist import schema
from ichnode.worklist.standing_table import standings

_W = standings
MOST = 50


def latest(tx: Connection) -> tuple[int, list[int]]:
    """Return (number of the last change, the ids of the unread positive studies at the top of the worklist)."""
    number = tx.scalar(select(func.max(schema.journal.c.id))) or 0
    top = (
        select(_W.c.study_id)
        .where(_W.c.status == "positive", _W.c.rank < READ)
        .order_by(_W.c.rank, _W.c.minus_score, _W.c.age_key, _W.c.study_id)
        .limit(MOST)
    )
    return number, list(tx.scalars(top))
