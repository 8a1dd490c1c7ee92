"""Searches by patient: kept here under a random key, so that an address never holds a name."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from ichnode.worklist.people import searches

KEPT = timedelta(days=1)


def keep(tx: Connection, at: datetime, account: str, key: str, text: str) -> None:
    """Keep what somebody searches for, and forget the searches of yesterday."""
    tx.execute(delete(searches).where(searches.c.at < at - KEPT))
    tx.execute(insert(searches).values(key=key, text=text, account=account, at=at))


def find(tx: Connection, account: str, key: str) -> str | None:
    """Return what a key stands for; None when it is forgotten, or another person's."""
    return tx.scalar(select(searches.c.text).where(searches.c.key == key, searches.c.account == account))
