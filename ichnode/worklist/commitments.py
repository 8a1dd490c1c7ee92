"""Storage commitment (PS3.4 Annex J): what was delivered is asked after, and sent again where it was not kept.

A request is a row before it is sent, so an answer that comes after a crash is still understood. While an object is
`delivered` its `not_before` is when to ask; while it is `awaiting`, when to ask again for want of an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, func, insert, select, update

from ichnode.core.lifecycle import DELIVERY, DeliveryState, sources, target
from ichnode.core.retry import backoff_s
from ichnode.worklist import schema
from ichnode.worklist.database import new_key, note
from ichnode.worklist.pauses import pause_of
from ichnode.worklist.reports import REJECTION

MOST_INSTANCES = 100
"""Objects in one request."""
_C, _D, _P, _R, _S = schema.commitments, schema.deliveries, schema.reports, schema.results, schema.series


@dataclass(frozen=True, slots=True)
class Request:
    """One storage commitment request.

    Attributes
    ----------
    transaction_uid : str
    instances : tuple of (SOP Class UID, SOP Instance UID)
    """

    transaction_uid: str
    instances: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """When what was not kept is sent again, and when nobody tries any more.

    Attributes
    ----------
    first_s, longest_s : float
        Back-off, in seconds.
    give_up_s : float
        Seconds after the first request.
    """

    first_s: float
    longest_s: float
    give_up_s: float


def request(tx: Connection, now: datetime, destination: str, transaction_uid: str, wait_s: float) -> Request | None:
    """Write down a request for what a destination was given and was not yet asked about; None when there is nothing.

    Parameters
    ----------
    transaction_uid : str
        A new one.
    wait_s : float
        Seconds after which the request counts as unanswered.
    """
    rows = tx.execute(
        _placed()
        .where(_D.c.destination == destination, _D.c.state.in_(sources(DELIVERY, "ask")), _D.c.not_before <= now)
        .order_by(_D.c.urgency, _D.c.id)
        .limit(MOST_INSTANCES)
    ).all()
    if not rows:
        return None
    transaction_id = new_key(
        tx,
        insert(_C).values(
            transaction_uid=transaction_uid, destination=destination, instances=len(rows), requested_at=now
        ),
    )
    for row in rows:
        # Giving up counts from the first request: what was delivered long ago has its days before it.
        since = row.retry_since if row.commitment_requests else now
        _move(
            tx, row, "ask", commitment_id=transaction_id, commitment_requests=row.commitment_requests + 1,
            not_before=now + timedelta(seconds=wait_s), retry_since=since,
        )  # fmt: skip
        _note(tx, now, "commitment.requested", row, transaction=transaction_uid)
    return Request(transaction_uid, tuple((row.sop_class_uid, row.sop_instance_uid) for row in rows))


def not_taken(tx: Connection, now: datetime, transaction_uid: str, error: str, patience: Patience) -> int:
    """The request did not reach the destination, or was refused: asked again after a back-off; returns how many."""
    rows = tx.execute(_placed().join(_C, _C.c.id == _D.c.commitment_id).where(
        _C.c.transaction_uid == transaction_uid, _D.c.state == DeliveryState.AWAITING
    )).all()  # fmt: skip
    for row in rows:
        _unanswered(tx, now, row, error, patience)
    return len(rows)


def expire(tx: Connection, now: datetime, destination: str, patience: Patience) -> int:
    """Take back the requests that a destination has not answered in time, to ask again; returns how many objects."""
    rows = tx.execute(_placed().where(
        _D.c.destination == destination, _D.c.state.in_(sources(DELIVERY, "unanswered")), _D.c.not_before <= now
    )).all()  # fmt: skip
    for row in rows:
        error = (
            f"{destination} has not answered {row.commitment_requests} request(s) for storage commitment. "
            "Check that it knows the AE title, address and port of this node."
        )
        _unanswered(tx, now, row, error, patience, delay_s=0.0)
    return len(rows)


def asked(tx: Connection, transaction_uid: str) -> str | None:
    """Return which destination a transaction was asked of; None when it is none of this node's."""
    found: str | None = tx.scalar(select(_C.c.destination).where(_C.c.transaction_uid == transaction_uid))
    return found


def is_settled(tx: Connection, transaction_uid: str) -> bool:
    """Tell whether nothing of a request awaits its answer any more."""
    return not tx.scalar(select(exists().where(
        _D.c.commitment_id == _C.c.id, _C.c.transaction_uid == transaction_uid, _D.c.state == DeliveryState.AWAITING
    )))  # fmt: skip


def answered(
    tx: Connection, now: datetime, transaction_uid: str, kept: Collection[str], lost: Mapping[str, str],
    patience: Patience,
) -> tuple[int, int, int]:  # fmt: skip
    """File a destination's answer; what nobody asked it about changes nothing, nor does the same answer again.

    A promise to keep an object counts whichever request it answers. That one is not kept counts only as the answer to
    the last request: it may have been sent again since an older one.

    Parameters
    ----------
    kept : collection of SOP Instance UID
    lost : mapping of SOP Instance UID to why

    Returns
    -------
    tuple of int
        How many are committed by it, how many were lost, and how many of those named it was never asked about.
    """
    transaction = tx.execute(select(_C).where(_C.c.transaction_uid == transaction_uid)).one()
    tx.execute(update(_C).where(_C.c.id == transaction.id).values(answered_at=now))
    counts = [0, 0, 0]
    for uid in sorted({*kept, *lost}):
        row = tx.execute(_placed().where(
            _D.c.destination == transaction.destination, _P.c.sop_instance_uid == uid, _D.c.commitment_requests > 0
        )).first()  # fmt: skip
        if row is None:
            counts[2] += 1
        elif uid not in lost:
            counts[0] += _commit(tx, now, row)
        elif row.commitment_id == transaction.id:
            counts[1] += _lose(tx, now, row, lost[uid], patience)
    return counts[0], counts[1], counts[2]


def next_request_at(tx: Connection, destination: str) -> datetime | None:
    """Return when a destination is to be asked next, or an answer of it is overdue; None when nothing waits.

    None as well while it is paused.
    """
    if pause_of(tx, destination) is not None:
        return None
    found = tx.scalar(
        select(func.min(_D.c.not_before)).where(
            _D.c.destination == destination, _D.c.state.in_((DeliveryState.DELIVERED, DeliveryState.AWAITING))
        )
    )
    return datetime.fromisoformat(found) if isinstance(found, str) else found


def _commit(tx: Connection, now: datetime, row: Row[Any]) -> bool:
    if not _move(tx, row, "commit", committed_at=now, error=None):
        return False
    _note(tx, now, "commitment.given", row)
    return True


def _lose(tx: Connection, now: datetime, row: Row[Any], error: str, patience: Patience) -> bool:
    """Send again, unless a newer result took its place or the time for it is over."""
    if row.superseded_at is not None and row.kind != REJECTION:
        changed, event = _move(tx, row, "drop_lost", error=error), "delivery.withdrawn"
    elif _is_over(now, row, patience):
        changed, event = _move(tx, row, "abandon", error=_given_up(error, patience)), "commitment.given_up"
    else:
        delay_s = backoff_s(row.attempts, patience.first_s, patience.longest_s)
        changed = _move(tx, row, "lost", error=error, not_before=now + timedelta(seconds=delay_s))
        event = "commitment.lost"
    if changed:
        _note(tx, now, event, row)
    return changed


def _unanswered(
    tx: Connection, now: datetime, row: Row[Any], error: str, patience: Patience, delay_s: float | None = None
) -> None:
    if _is_over(now, row, patience):
        _move(tx, row, "abandon", error=_given_up(error, patience))
        _note(tx, now, "commitment.given_up", row)
        return
    if delay_s is None:
        delay_s = backoff_s(row.commitment_requests, patience.first_s, patience.longest_s)
    _move(tx, row, "unanswered", error=error, not_before=now + timedelta(seconds=delay_s))
    _note(tx, now, "commitment.unanswered", row)


def _is_over(now: datetime, row: Row[Any], patience: Patience) -> bool:
    return bool(now - row.retry_since >= timedelta(seconds=patience.give_up_s))


def _given_up(error: str, patience: Patience) -> str:
    return f"{error} Given up after {patience.give_up_s / 86400:g} days."


def _placed() -> Select[Any]:
    return (
        select(
            _D.c.id, _D.c.destination, _D.c.attempts, _D.c.retry_since, _D.c.commitment_id, _D.c.commitment_requests,
            _P.c.kind, _P.c.sop_class_uid, _P.c.sop_instance_uid, _R.c.superseded_at, _S.c.study_id,
            _S.c.id.label("series_id"),
        )
        .join(_P, _P.c.id == _D.c.report_id)
        .join(_R, _R.c.id == _P.c.result_id)
        .join(_S, _S.c.id == _R.c.series_id)
    )  # fmt: skip


def _move(tx: Connection, row: Row[Any], event: str, **values: object) -> bool:
    guarded = update(_D).where(_D.c.id == row.id, _D.c.state.in_(sources(DELIVERY, event)))
    return bool(tx.execute(guarded.values(state=target(DELIVERY, event), **values)).rowcount)


def _note(tx: Connection, now: datetime, event: str, row: Row[Any], **detail: Any) -> None:
    note(tx, now, event, row.study_id, row.series_id, destination=row.destination, **detail)
