"""API tokens of programs: what each may do, until when; kept as digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from ichnode.errors import PermanentError
from ichnode.worklist import audit
from ichnode.worklist.people import api_tokens
from ichnode.worklist.sessions import digest_of

_T = api_tokens
_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token that holds."""

    id: int
    name: str
    scopes: tuple[str, ...]
    seen_at: datetime | None


def add(
    tx: Connection, at: datetime, name: str, secret: str, scopes: Sequence[str], expires_at: datetime | None
) -> None:
    """Add a token.

    Raises
    ------
    PermanentError
        The name is taken.
    """
    if tx.scalar(select(_T.c.id).where(_T.c.name == name)) is not None:
        raise PermanentError(f"There is or was a token {name} already; give the new one another name.", "TOKEN")
    tx.execute(
        insert(_T).values(
            name=name, digest=digest_of(secret), scopes=list(scopes), created_at=at, expires_at=expires_at
        )
    )
    audit.record(tx, at, audit.terminal().name, "token.added", token=name, scopes=list(scopes))


def find(tx: Connection, at: datetime, secret: str) -> ApiToken | None:
    """Return the token that a secret is, unless it is revoked or over."""
    row = tx.execute(
        select(_T.c.id, _T.c.name, _T.c.scopes, _T.c.seen_at).where(
            _T.c.digest == digest_of(secret),
            _T.c.revoked_at.is_(None),
            or_(_T.c.expires_at.is_(None), _T.c.expires_at > at),
        )
    ).first()
    return ApiToken(row.id, row.name, tuple(row.scopes), row.seen_at) if row else None


def touch(tx: Connection, at: datetime, token: ApiToken) -> None:
    """Note when the token was used last."""
    tx.execute(update(_T).where(_T.c.id == token.id).values(seen_at=at))


def is_stale(token: ApiToken, at: datetime) -> bool:
    """Tell whether `touch` is due: not at every request."""
    return token.seen_at is None or at - token.seen_at > _SEEN_EVERY


def revoke(tx: Connection, at: datetime, name: str) -> None:
    """End a token for good.

    Raises
    ------
    PermanentError
        There is no such token.
    """
    changed = tx.execute(update(_T).where(_T.c.name == name, _T.c.revoked_at.is_(None)).values(revoked_at=at)).rowcount
    if not changed:
        raise PermanentError(f"There is no token {name} that could be revoked; see `ichnode token list`.", "TOKEN")
    audit.record(tx, at, audit.terminal().name, "token.revoked", token=name)


def listed(tx: Connection) -> list[dict[str, Any]]:
    """Return all tokens without their secrets."""
    columns = (_T.c.name, _T.c.scopes, _T.c.created_at, _T.c.expires_at, _T.c.seen_at, _T.c.revoked_at)
    return [dict(row) for row in tx.execute(select(*columns).order_by(_T.c.name)).mappings()]
