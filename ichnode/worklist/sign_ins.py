"""Failed sign-ins slow down the next ones.

Of one account from one address soon, of one account from anywhere later, of one address whatever the name last.
"""

from __future__ import annotations

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


def pause_s(tx: Connection, at: datetime, name: str, address: str) -> float:
    """Return for how many seconds no password of this account is looked at from this address."""
    keys = [digest for digest, _, _ in _limits(name, address)]
    until = tx.scalar(select(func.max(_F.c.not_before)).where(_F.c.digest.in_(keys)))
    if until is None:
        return 0.0
    until = datetime.fromisoformat(until) if isinstance(until, str) else until
    return max(0.0, (until - at).total_seconds())


def failed(tx: Connection, at: datetime, name: str, address: str, known: bool) -> None:
    """Count one failure. What was typed in place of a known name may be a password, so it is not written down."""
    for digest, free, longest_s in _limits(name, address):
        failures = (tx.scalar(select(_F.c.failures).where(_F.c.digest == digest)) or 0) + 1
        values = {
            "failures": failures, "not_before": at + timedelta(seconds=pause_after_s(failures, free, longest_s)),
        }  # fmt: skip
        if failures == 1:
            tx.execute(insert(_F).values(digest=digest, **values))
        else:
            tx.execute(update(_F).where(_F.c.digest == digest).values(values))
    audit.record(tx, at, name.lower() if known else "unknown", "session.refused", address=address)


def succeeded(tx: Connection, name: str, address: str) -> None:
    """Forget the failures of who has signed in; those of the address stay, or one known account would pay for all."""
    tx.execute(delete(_F).where(_F.c.digest.in_([digest for digest, _, _ in _limits(name, address)[:2]])))


def prune(tx: Connection, at: datetime) -> None:
    """Forget failures of long ago."""
    tx.execute(delete(_F).where(_F.c.not_before < at - timedelta(days=1)))


def _limits(name: str, address: str) -> tuple[tuple[str, int, float], ...]:
    return (
        (digest_of(f"{name.lower()}\n{address}"), HERE_FREE, HERE_LONGEST_S),
        (digest_of(name.lower()), ANYWHERE_FREE, ANYWHERE_LONGEST_S),
        (digest_of(f"\n{address}"), ADDRESS_FREE, ADDRESS_LONGEST_S),
    )
