"""Failed sign-ins slow down the next ones. Each is counted before its password is looked at: many at once get no more.

Of one account from one address soon, of one account from anywhere later, of one address whatever the name last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from ichnode.core.access import pause_after_s
from ichnode.worklist import audit
from ichnode.worklist.people import sign_in_failures
from ichnode.worklist.sessions import digest_of

_F = sign_in_failures
HERE_FREE, HERE_LONGEST_S = 5, 900.0
ANYWHERE_FREE, ANYWHERE_LONGEST_S = 50, 60.0
ADDRESS_FREE, ADDRESS_LONGEST_S = 100, 30.0
"""Many names from one address; a whole department may share one behind its router, so late and short."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that was counted as a failure before its password is looked at.

    Attributes
    ----------
    address_pause : datetime
        Until when it made the address wait.
    earlier_pause : datetime
        Until when the address had to wait before.
    """

    name: str
    address: str
    address_pause: datetime
    earlier_pause: datetime


def pause_s(tx: Connection, at: datetime, name: str, address: str) -> float:
    """Return for how many seconds no password of this account is looked at from this address."""
    keys = [digest for digest, _, _ in _limits(name, address)]
    until = tx.scalar(select(func.max(_F.c.not_before)).where(_F.c.digest.in_(keys)))
    if until is None:
        return 0.0
    until = datetime.fromisoformat(until) if isinstance(until, str) else until
    return max(0.0, (until - at).total_seconds())


def count(tx: Connection, at: datetime, name: str, address: str) -> Attempt:
    """Count one failure, in the transaction that found no pause; `succeeded` takes it back."""
    earlier = until = at
    for digest, free, longest_s in _limits(name, address):
        row = tx.execute(select(_F.c.failures, _F.c.not_before).where(_F.c.digest == digest)).first()
        failures = (row.failures if row else 0) + 1
        earlier, until = row.not_before if row else at, at + timedelta(seconds=pause_after_s(failures, free, longest_s))
        values = {"failures": failures, "not_before": until}
        if row is None:
            tx.execute(insert(_F).values(digest=digest, **values))
        else:
            tx.execute(update(_F).where(_F.c.digest == digest).values(values))
    return Attempt(name, address, until, earlier)


def failed(tx: Connection, at: datetime, attempt: Attempt, known: bool) -> None:
    """Write the failure down. What was typed in place of a known name may be a password, so that is not."""
    who = attempt.name.lower() if known else "unknown"
    audit.record(tx, at, who, "session.refused", address=attempt.address)


def succeeded(tx: Connection, attempt: Attempt) -> None:
    """Forget the failures of who has signed in; those of the address stay, or one known account would pay for all."""
    *own, (address, _, _) = _limits(attempt.name, attempt.address)
    tx.execute(delete(_F).where(_F.c.digest.in_([digest for digest, _, _ in own])))
    row = tx.execute(select(_F.c.failures, _F.c.not_before).where(_F.c.digest == address)).first()
    if row is not None:
        alone = row.not_before == attempt.address_pause  # nobody else was counted meanwhile
        until = attempt.earlier_pause if alone else row.not_before
        values = {"failures": max(0, row.failures - 1), "not_before": until}
        tx.execute(update(_F).where(_F.c.digest == address).values(values))


def prune(tx: Connection, at: datetime) -> None:
    """Forget failures of long ago."""
    tx.execute(delete(_F).where(_F.c.not_before < at - timedelta(days=1)))


def _limits(name: str, address: str) -> tuple[tuple[str, int, float], ...]:
    return (
        (digest_of(f"{name.lower()}\n{address}"), HERE_FREE, HERE_LONGEST_S),
        (digest_of(name.lower()), ANYWHERE_FREE, ANYWHERE_LONGEST_S),
        (digest_of(f"\n{address}"), ADDRESS_FREE, ADDRESS_LONGEST_S),
    )
