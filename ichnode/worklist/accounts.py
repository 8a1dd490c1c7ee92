"""Accounts: added, given a password, disabled; each change is in the audit journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ichnode.errors import PermanentError
from ichnode.worklist import audit
from ichnode.worklist.people import accounts, sessions

_A = accounts


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in. `password` is its argon2 hash, or None for one who signs in at the proxy only."""

    id: int
    name: str
    role: str
    password: str | None
    disabled: bool


def any_account(tx: Connection) -> bool:
    """Tell whether there is an account that is not disabled."""
    return tx.scalar(select(_A.c.id).where(_A.c.disabled.is_(False)).limit(1)) is not None


def find(tx: Connection, name: str) -> Account | None:
    """Return an account by its name, upper and lower case alike."""
    row = tx.execute(
        select(_A.c.id, _A.c.name, _A.c.role, _A.c.password, _A.c.disabled).where(_A.c.name == name.lower())
    ).first()
    return Account(*row) if row else None


def listed(tx: Connection) -> list[dict[str, Any]]:
    """Return all accounts without their passwords."""
    columns = (_A.c.name, _A.c.role, _A.c.disabled, _A.c.created_at, _A.c.seen_at)
    return [dict(row) for row in tx.execute(select(*columns).order_by(_A.c.name)).mappings()]


def add(tx: Connection, at: datetime, name: str, role: str, password: str | None) -> None:
    """Add an account.

    Raises
    ------
    PermanentError
        The name is taken.
    """
    if find(tx, name) is not None:
        raise PermanentError(
            f"There is an account {name.lower()} already; `ichnode user password` gives it another password.", "ACCOUNT"
        )
    tx.execute(
        insert(_A).values(name=name.lower(), role=role, password=password, disabled=False, created_at=at, seen_at=None)
    )
    audit.record(tx, at, audit.terminal().name, "account.added", account=name.lower(), role=role)


def change(
    tx: Connection, at: datetime, name: str, *, password: str | None = None, disabled: bool | None = None,
    role: str | None = None,
) -> None:  # fmt: skip
    """Give an account another password or role, or disable or enable it. Its open sessions end.

    Raises
    ------
    PermanentError
        There is no such account.
    """
    account = find(tx, name)
    if account is None:
        raise PermanentError(f"There is no account {name.lower()}; `ichnode user list` shows all.", "ACCOUNT")
    values = {"password": password, "disabled": disabled, "role": role}
    given = {key: value for key, value in values.items() if value is not None}
    tx.execute(update(_A).where(_A.c.id == account.id).values(given))
    tx.execute(delete(sessions).where(sessions.c.account_id == account.id))
    to = {key: value for key, value in given.items() if key != "password"}
    audit.record(tx, at, audit.terminal().name, "account.changed", account=account.name, changed=sorted(given), to=to)
