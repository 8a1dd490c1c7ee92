"""The outbox: every report for every destination, until it is delivered, refused for good, or withdrawn.

Notices for channels are deliveries too, under the channel's name: one outbox, one circuit breaker, one way to retry.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, or_, select, update

from ichnode.core.lifecycle import DELIVERY, DeliveryState, sources, target
from ichnode.worklist import schema
from ichnode.worklist.database import new_key, note
from ichnode.worklist.reports import REJECTION

_D, _N, _O, _P = schema.deliveries, schema.notices, schema.destinations, schema.reports


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed delivery: an object that lies in a file, or a notice (`ichnode.worklist.notices`), which has none."""

    id: int
    study_id: int
    series_id: int
    destination: str
    kind: str
    sop_instance_uid: str
    file: str
    attempts: int
    retry_since: datetime
    notice_id: int | None = None


def claim_deliveries(tx: Connection, now: datetime, destination: str, sender: str, most: int = 50) -> list[Delivery]:
    """Take what is due for a destination, the most urgent first. The attempt counts from here.

    Nothing while it is paused.
    """
    if _is_paused(tx, destination):
        return []
    rows = tx.execute(
        _placed(
            _D.c.destination == destination, _D.c.state.in_(sources(DELIVERY, "claim")), _D.c.not_before <= now
        ).limit(most)
    ).all()
    claimed = [replace(Delivery(*row), attempts=row.attempts + 1) for row in rows]
    for delivery in claimed:
        tx.execute(
            update(_D)
            .where(_D.c.id == delivery.id)
            .values(state=target(DELIVERY, "claim"), attempts=delivery.attempts, sender=sender)
        )
        _note(tx, now, "delivery.claimed", delivery, attempt=delivery.attempts)
    return claimed


def recast(
    tx: Connection, now: datetime, delivery: Delivery, sop_class_uid: str, instance: str, file: str, size: int
) -> None:
    """Send the same content under another SOP Class, since the destination takes that one.

    The report it was made from stays, for others. Done again after an attempt that was cut short, it changes nothing.
    """
    made_from = select(_D.c.report_id).where(_D.c.id == delivery.id).scalar_subquery()
    origin = tx.execute(select(schema.reports).where(schema.reports.c.id == made_from)).mappings().one()
    if origin["sop_instance_uid"] == instance:
        return
    report_id = tx.scalar(select(schema.reports.c.id).where(schema.reports.c.sop_instance_uid == instance))
    if report_id is None:
        of_class = {"sop_class_uid": sop_class_uid, "sop_instance_uid": instance, "file": file, "size": size}
        columns = {name: value for name, value in origin.items() if name != "id"}
        report_id = new_key(tx, insert(schema.reports).values(**{**columns, **of_class}))
    tx.execute(update(_D).where(_D.c.id == delivery.id).values(report_id=report_id))
    _note(tx, now, "delivery.recast", delivery, sop_class=sop_class_uid)


def accepted(tx: Connection, now: datetime, delivery: Delivery, status: int | None) -> None:
    """The peer has taken the object."""
    if _leave_sending(tx, delivery, "accepted", delivered_at=now, status=status, error=None):
        _note(tx, now, "delivery.accepted", delivery, status=status)


def refused(tx: Connection, now: datetime, delivery: Delivery, status: int | None, error: str) -> None:
    """The peer refuses for a reason that will not pass; visible until `ichnode retry`."""
    if not _drop_if_superseded(tx, now, delivery) and _leave_sending(
        tx, delivery, "refused", status=status, error=error
    ):
        _note(tx, now, "delivery.refused", delivery, status=status)


def try_again(
    tx: Connection, now: datetime, delivery: Delivery, status: int | None, error: str, delay_s: float, give_up_s: float
) -> None:
    """Not now; again after `delay_s`, or given up (failed, visible) `give_up_s` after the first try."""
    if now - delivery.retry_since >= timedelta(seconds=give_up_s):
        refused(tx, now, delivery, status, _given_up(error, give_up_s))
    elif not _drop_if_superseded(tx, now, delivery) and _leave_sending(
        tx, delivery, "try_again", status=status, error=error, not_before=now + timedelta(seconds=delay_s)
    ):
        _note(tx, now, "delivery.again", delivery, status=status)


def put_back(tx: Connection, now: datetime, delivery: Delivery) -> None:
    """It was claimed and not offered, since the node ends; its attempt does not count."""
    before = {"attempts": delivery.attempts - 1, "not_before": now}
    if not _drop_if_superseded(tx, now, delivery) and _leave_sending(tx, delivery, "try_again", **before):
        _note(tx, now, "delivery.put_back", delivery)


def give_up(tx: Connection, now: datetime, destination: str, error: str, give_up_s: float) -> int:
    """Mark what has waited `give_up_s` for a destination that does not answer as failed; returns how many."""
    rows = tx.execute(
        _placed(
            _D.c.destination == destination,
            _D.c.state.in_(sources(DELIVERY, "give_up")),
            _D.c.retry_since <= now - timedelta(seconds=give_up_s),
        )
    ).all()
    for delivery in (Delivery(*row) for row in rows):
        tx.execute(
            update(_D)
            .where(_D.c.id == delivery.id)
            .values(state=target(DELIVERY, "give_up"), error=_given_up(error, give_up_s))
        )
        _note(tx, now, "delivery.given_up", delivery)
    return len(rows)


def release_sending(
    tx: Connection, now: datetime, *, but_of: Collection[str] = (), of: str | None = None,
    destination: str | None = None,
) -> int:  # fmt: skip
    """Put back what was being sent when its sender died; the peer may get the same object twice, never two objects.

    Parameters
    ----------
    but_of : collection of str
        Senders that are alive.
    of, destination : str or None
        Only what this sender had in hand, for this destination.
    """
    chosen: list[ColumnElement[bool]] = [_D.c.state.in_(sources(DELIVERY, "try_again")), _D.c.sender.not_in(but_of)]
    if of is not None:
        chosen.append(_D.c.sender == of)
    if destination is not None:
        chosen.append(_D.c.destination == destination)
    rows = tx.execute(_placed(*chosen)).all()
    for delivery in (Delivery(*row) for row in rows):
        if not _drop_if_superseded(tx, now, delivery) and _leave_sending(tx, delivery, "try_again", not_before=now):
            _note(tx, now, "delivery.released", delivery)
    return len(rows)


def is_sending(tx: Connection, destination: str, sender: str) -> bool:
    """Tell whether a sender has claimed something for a destination and not yet answered."""
    held = _D.c.destination == destination, _D.c.state == DeliveryState.SENDING, _D.c.sender == sender
    return tx.scalar(select(_D.c.id).where(*held).limit(1)) is not None


def retry_deliveries(tx: Connection, now: datetime, series_ids: list[int] | None) -> int:
    """Send failed deliveries again, and waiting ones at once; returns how many."""
    chosen = [_D.c.state.in_((DeliveryState.FAILED, DeliveryState.PENDING))]
    if series_ids is not None:
        chosen.append(schema.series.c.id.in_(series_ids))
    rows = tx.execute(_placed(*chosen)).all()
    for delivery in (Delivery(*row) for row in rows):
        tx.execute(
            update(_D)
            .where(_D.c.id == delivery.id)
            .values(state=target(DELIVERY, "retry"), not_before=now, retry_since=now)
        )
        _note(tx, now, "delivery.retried", delivery)
    tx.execute(update(_O).values(open_until=None))
    return len(rows)


def backlog(tx: Connection, destination: str) -> tuple[int, datetime | None]:
    """Return (how many wait, since when the oldest waits) for a destination."""
    row = tx.execute(
        select(func.count(), func.min(_D.c.created_at)).where(
            _D.c.destination == destination, _D.c.state.in_((DeliveryState.PENDING, DeliveryState.SENDING))
        )
    ).one()
    oldest = datetime.fromisoformat(row[1]) if isinstance(row[1], str) else row[1]
    return row[0], oldest


def next_delivery_at(tx: Connection, destination: str) -> datetime | None:
    """Return when the next delivery to a destination is due; None when nothing waits, or it is paused."""
    if _is_paused(tx, destination):
        return None
    found = tx.scalar(
        select(func.min(_D.c.not_before)).where(_D.c.destination == destination, _D.c.state == DeliveryState.PENDING)
    )
    return datetime.fromisoformat(found) if isinstance(found, str) else found


@dataclass(frozen=True, slots=True)
class Circuit:
    """State of a destination's circuit breaker."""

    failures: int
    open_until: datetime | None
    last_success_at: datetime | None
    last_error: str | None


def circuit(tx: Connection, destination: str) -> Circuit:
    """Return the breaker of a destination; closed when nothing is known of it."""
    row = tx.execute(
        select(_O.c.failures, _O.c.open_until, _O.c.last_success_at, _O.c.last_error).where(_O.c.name == destination)
    ).first()
    return Circuit(*row) if row else Circuit(0, None, None, None)


def break_circuit(tx: Connection, now: datetime, destination: str, error: str, delay_s: float) -> None:
    """The destination does not answer: send nothing for `delay_s`, then ask by C-ECHO."""
    failures = circuit(tx, destination).failures + 1
    _set_circuit(tx, destination, failures=failures, open_until=now + timedelta(seconds=delay_s), last_error=error)
    if failures == 1:
        note(tx, now, "destination.down", None, None, destination=destination)


def close_circuit(tx: Connection, now: datetime, destination: str) -> None:
    """The destination answers."""
    if circuit(tx, destination).failures:
        note(tx, now, "destination.up", None, None, destination=destination)
    _set_circuit(tx, destination, failures=0, open_until=None, last_error=None, last_success_at=now)


def _set_circuit(tx: Connection, destination: str, **values: object) -> None:
    if not tx.execute(update(_O).where(_O.c.name == destination).values(**values)).rowcount:
        tx.execute(insert(_O).values(name=destination, **{"failures": 0, **values}))


def _is_paused(tx: Connection, destination: str) -> bool:
    return tx.scalar(select(_O.c.paused_at).where(_O.c.name == destination)) is not None


def _placed(*conditions: Any) -> Select[Any]:
    return (
        select(
            _D.c.id, schema.series.c.study_id, schema.series.c.id, _D.c.destination,
            func.coalesce(_P.c.kind, _N.c.kind), func.coalesce(_P.c.sop_instance_uid, ""),
            func.coalesce(_P.c.file, ""), _D.c.attempts, _D.c.retry_since, _D.c.notice_id,
        )
        .outerjoin(_P, _P.c.id == _D.c.report_id)
        .outerjoin(_N, _N.c.id == _D.c.notice_id)
        .join(schema.results, schema.results.c.id == func.coalesce(_P.c.result_id, _N.c.result_id))
        .join(schema.series, schema.series.c.id == schema.results.c.series_id)
        .where(*conditions)
        .order_by(_D.c.urgency, _D.c.id)
    )  # fmt: skip


def _leave_sending(tx: Connection, delivery: Delivery, event: str, **values: object) -> bool:
    changed = tx.execute(
        update(_D)
        .where(_D.c.id == delivery.id, _D.c.state.in_(sources(DELIVERY, event)))
        .values(state=target(DELIVERY, event), **values)
    ).rowcount
    return bool(changed)


def _drop_if_superseded(tx: Connection, now: datetime, delivery: Delivery) -> bool:
    """Withdraw what was being sent while a newer result took its place; sent later it would stand beside that one."""
    stale = (
        select(_P.c.id)
        .join(schema.results)
        .where(_P.c.id == _D.c.report_id, _P.c.kind != REJECTION, schema.results.c.superseded_at.is_not(None))
        .exists()
    )
    later = _N.alias()
    told_otherwise = (
        select(later.c.id)
        .join(_N, (_N.c.study_id == later.c.study_id) & (_N.c.channel == later.c.channel))
        .where(_N.c.id == _D.c.notice_id, later.c.ordinal > _N.c.ordinal, later.c.escalates_id.is_(None))
        .exists()
    )
    changed = tx.execute(
        update(_D)
        .where(_D.c.id == delivery.id, _D.c.state.in_(sources(DELIVERY, "drop")), or_(stale, told_otherwise))
        .values(state=target(DELIVERY, "drop"))
    ).rowcount
    if changed:
        _note(tx, now, "delivery.withdrawn", delivery)
    return bool(changed)


def _note(tx: Connection, now: datetime, event: str, delivery: Delivery, **detail: Any) -> None:
    note(tx, now, event, delivery.study_id, delivery.series_id, destination=delivery.destination, **detail)


def _given_up(error: str, give_up_s: float) -> str:
    return f"{error} Given up after {give_up_s / 86400:g} days."
