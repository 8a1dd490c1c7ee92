"""The audit journal: who saw which patient, and who did what. Rows are only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from ichnode.worklist.people import audit


def record(
    tx: Connection, at: datetime, who: str, what: str, study_id: int | None = None, address: str = "", **detail: Any
) -> None:
    """Write one row inside the caller's transaction.

    Parameters
    ----------
    who : str
        An account, ``token:NAME`` or ``terminal``.
    what : str
        A named event such as ``study.viewed``.
    **detail
        Never patient data: `study_id` leads there.
    """
    tx.execute(insert(audit).values(at=at, who=who, address=address, what=what, study_id=study_id, detail=detail))


def latest(
    tx: Connection, most: int = 100, before: int | None = None, study_id: int | None = None
) -> list[dict[str, Any]]:
    """Return rows, the latest first.

    Parameters
    ----------
    before : int or None
        Only rows with a smaller id: the next page.
    """
    chosen = select(audit).order_by(audit.c.id.desc()).limit(most)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    if study_id is not None:
        chosen = chosen.where(audit.c.study_id == study_id)
    return [{**row, "at": row["at"].isoformat()} for row in tx.execute(chosen).mappings()]
