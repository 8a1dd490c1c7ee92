"""Sessions of people in a browser. The table holds digests: whoever reads it cannot act as anybody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, or_, select, update

from ichnode.worklist import audit
from ichnode.worklist.people import accounts, sessions

_S, _A = sessions, accounts


@dataclass(frozen=True, slots=True)
class Session:
    """An open session and its account."""

    digest: str
    name: str
    role: str
    begun_at: datetime
    seen_at: datetime


def digest_of(secret: str) -> str:
    """Return what is kept of a secret that is random enough not to be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def begin(tx: Connection, at: datetime, account_id: int, secret: str, name: str, address: str) -> None:
    """Open a session."""
    tx.execute(
        insert(_S).values(digest=digest_of(secret), account_id=account_id, begun_at=at, seen_at=at, address=address)
    )
    tx.execute(update(_A).where(_A.c.id == account_id).values(seen_at=at))
    audit.record(tx, at, name, "session.begun", address=address)


def find(tx: Connection, at: datetime, secret: str, idle_s: float, longest_s: float) -> Session | None:
    """Return the session that a secret opens, unless it is over or its account disabled."""
    row = tx.execute(
        select(_S.c.digest, _A.c.name, _A.c.role, _S.c.begun_at, _S.c.seen_at)
        .join(_A)
        .where(
            _S.c.digest == digest_of(secret),
            _A.c.disabled.is_(False),
            _S.c.seen_at > at - timedelta(seconds=idle_s),
            _S.c.begun_at > at - timedelta(seconds=longest_s),
        )
    ).first()
    return Session(*row) if row else None


def touch(tx: Connection, at: datetime, digest: str) -> None:
    """Note that somebody is there."""
    tx.execute(update(_S).where(_S.c.digest == digest).values(seen_at=at))


def end(tx: Connection, at: datetime, secret: str, address: str) -> None:
    """End a session because its owner wants it; nothing when there is none."""
    name = tx.scalar(select(_A.c.name).join(_S).where(_S.c.digest == digest_of(secret)))
    if name is not None:
        tx.execute(delete(_S).where(_S.c.digest == digest_of(secret)))
        audit.record(tx, at, name, "session.ended", address=address)


def prune(tx: Connection, at: datetime, idle_s: float, longest_s: float) -> None:
    """Forget sessions that are over."""
    tx.execute(
        delete(_S).where(
            or_(_S.c.seen_at <= at - timedelta(seconds=idle_s), _S.c.begun_at <= at - timedelta(seconds=longest_s))
        )
    )
