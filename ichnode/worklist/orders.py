"""Orders to fetch from the archive: a backfill of some days, the priors of a patient; slow, and behind all else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ichnode.core.lifecycle import ORDER, RETRIEVAL, OrderState, RetrievalState, sources, target
from ichnode.worklist import schema
from ichnode.worklist.database import new_key, note
from ichnode.worklist.retrieval_tables import orders, retrievals
from ichnode.worklist.standing_table import standings

BACKFILL, PRIORS = "backfill", "priors"
_O, _T, _ST = orders, retrievals, schema.studies


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    Attributes
    ----------
    next_date : str
        The day that the archive is asked for next; empty: it has told everything.
    per_hour, at_once : int
        Studies begun within an hour, and studies fetched and not yet answered, at most; 0: no limit.
    hours : str
        Local time in which something is begun: ``19:00-06:00``; empty: always.
    """

    id: int
    kind: str
    state: str
    study_id: int | None
    first_date: str
    last_date: str
    next_date: str
    per_hour: int
    at_once: int
    hours: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order is, in series; `studies` are those that the archive has listed so far."""

    studies: int
    waiting: int
    fetched: int
    failed: int
    unanswered: int

    @property
    def listed(self) -> int:
        """Series in all."""
        return self.waiting + self.fetched + self.failed


_COLUMNS = tuple(_O.c[name] for name in Order.__dataclass_fields__)


def place(
    tx: Connection, now: datetime, kind: str, *, first_date: str = "", last_date: str = "", study_id: int | None = None,
    per_hour: int = 0, at_once: int = 0, hours: str = "",
) -> Order:  # fmt: skip
    """Place an order; the same one that is still open, or was stopped, goes on with the new limits."""
    limits = {"per_hour": per_hour, "at_once": at_once, "hours": hours}
    known = tx.execute(
        select(*_COLUMNS)
        .where(
            _O.c.kind == kind, _O.c.first_date == first_date, _O.c.last_date == last_date,
            _O.c.study_id.is_(None) if study_id is None else _O.c.study_id == study_id, _O.c.state != OrderState.DONE,
        )
        .order_by(_O.c.id.desc())
    ).first()  # fmt: skip
    if known is not None:
        resumed = known.state in sources(ORDER, "resume")
        state = target(ORDER, "resume") if resumed else known.state
        # What was withdrawn is listed again from the first day on.
        start = {"next_date": first_date or "now", "ended_at": None} if resumed else {}
        tx.execute(update(_O).where(_O.c.id == known.id).values(state=state, **limits, **start))
        note(tx, now, "order.resumed", study_id, None, order=known.id, kind=kind, **limits)
        return of(tx, known.id)
    order_id = new_key(
        tx,
        insert(_O).values(
            kind=kind, state=OrderState.OPEN, study_id=study_id, first_date=first_date, last_date=last_date,
            next_date=first_date or "now", created_at=now, **limits,
        ),
    )  # fmt: skip
    note(tx, now, "order.placed", study_id, None, order=order_id, kind=kind, first=first_date, last=last_date, **limits)
    return of(tx, order_id)


def of(tx: Connection, order_id: int) -> Order:
    """Return an order by its number."""
    return Order(*tx.execute(select(*_COLUMNS).where(_O.c.id == order_id)).one())


def latest(tx: Connection, most: int = 20) -> list[Order]:
    """Return the last orders, the newest first."""
    return [Order(*row) for row in tx.execute(select(*_COLUMNS).order_by(_O.c.id.desc()).limit(most))]


def unlisted(tx: Connection) -> list[Order]:
    """Return the open orders of which the archive has not told everything, the oldest first."""
    found = select(*_COLUMNS).where(_O.c.state == OrderState.OPEN, _O.c.next_date != "").order_by(_O.c.id)
    return [Order(*row) for row in tx.execute(found)]


def listed(tx: Connection, now: datetime, order: Order, next_date: str, series: int) -> None:
    """The archive has told one day, or all priors."""
    tx.execute(update(_O).where(_O.c.id == order.id, _O.c.next_date == order.next_date).values(next_date=next_date))
    note(tx, now, "order.listed", order.study_id, None, order=order.id, day=order.next_date, series=series)


def finished(tx: Connection) -> list[int]:
    """Return the open orders that have nothing left to fetch."""
    left = (
        select(_T.c.id)
        .where(_T.c.order_id == _O.c.id, _T.c.state.in_((RetrievalState.PENDING, RetrievalState.FETCHING)))
        .exists()
    )
    return list(
        tx.scalars(select(_O.c.id).where(_O.c.state.in_(sources(ORDER, "finish")), _O.c.next_date == "", ~left))
    )


def finish(tx: Connection, now: datetime, order_id: int) -> None:
    """Mark an order done."""
    changed = tx.execute(
        update(_O)
        .where(_O.c.id == order_id, _O.c.state.in_(sources(ORDER, "finish")))
        .values(state=target(ORDER, "finish"), ended_at=now)
    ).rowcount
    if changed:
        note(tx, now, "order.done", of(tx, order_id).study_id, None, order=order_id)


def stop(tx: Connection, now: datetime, order_id: int) -> bool:
    """Stop an order; what it has not begun is not fetched any more. False where it is not open."""
    changed = tx.execute(
        update(_O)
        .where(_O.c.id == order_id, _O.c.state.in_(sources(ORDER, "stop")))
        .values(state=target(ORDER, "stop"), ended_at=now)
    ).rowcount
    if not changed:
        return False
    dropped = tx.execute(
        update(_T)
        .where(_T.c.order_id == order_id, _T.c.state.in_(sources(RETRIEVAL, "withdraw")))
        .values(state=target(RETRIEVAL, "withdraw"), ended_at=now)
    ).rowcount
    note(tx, now, "order.stopped", None, None, order=order_id, dropped=dropped)
    return True


def progress(tx: Connection, order_id: int) -> Progress:
    """Return how far an order is."""
    states = select(_T.c.state, func.count()).where(_T.c.order_id == order_id).group_by(_T.c.state)
    found = {row[0]: row[1] for row in tx.execute(states)}
    studies = tx.scalar(select(func.count(_T.c.study_instance_uid.distinct())).where(_T.c.order_id == order_id)) or 0
    waiting = found.get(RetrievalState.PENDING, 0) + found.get(RetrievalState.FETCHING, 0)
    return Progress(
        studies, waiting, found.get(RetrievalState.FETCHED, 0), found.get(RetrievalState.FAILED, 0),
        len(_unanswered(tx, order_id)),
    )  # fmt: skip


def begun(tx: Connection, order_id: int, since: datetime | None = None) -> set[str]:
    """Return the studies of an order of which a series was begun, or begun since."""
    chosen = [_T.c.order_id == order_id, _T.c.started_at.is_not(None)]
    if since is not None:
        chosen.append(_T.c.started_at > since)
    return set(tx.scalars(select(_T.c.study_instance_uid).where(*chosen).distinct()))


def allowed(tx: Connection, now: datetime, is_open: Any) -> tuple[list[int], list[str]]:
    """Return the orders that may begin another study now, and the studies begun that may go on.

    Parameters
    ----------
    is_open : callable
        Tells of the ``hours`` of an order whether it is that time.
    """
    may_begin, may_go_on = [], []
    for row in tx.execute(select(*_COLUMNS).where(_O.c.state == OrderState.OPEN)):
        order = Order(*row)
        if not is_open(order.hours):
            continue
        may_go_on += sorted(_unfinished(tx, order.id))
        busy = len(_unanswered(tx, order.id)) if order.at_once else 0
        recent = len(begun(tx, order.id, now - timedelta(hours=1))) if order.per_hour else 0
        if (not order.at_once or busy < order.at_once) and (not order.per_hour or recent < order.per_hour):
            may_begin.append(order.id)
    return may_begin, may_go_on


def _unfinished(tx: Connection, order_id: int) -> set[str]:
    """Return the studies of which one series was begun and another one waits."""
    waiting = tx.scalars(
        select(_T.c.study_instance_uid)
        .where(_T.c.order_id == order_id, _T.c.state == RetrievalState.PENDING)
        .distinct()
    )
    return begun(tx, order_id) & set(waiting)


def _unanswered(tx: Connection, order_id: int) -> set[str]:
    """Return the studies that are being fetched, or are here without an answer yet."""
    fetching = tx.scalars(
        select(_T.c.study_instance_uid).where(_T.c.order_id == order_id, _T.c.state == RetrievalState.FETCHING)
    )
    pending = tx.scalars(
        select(_T.c.study_instance_uid)
        .join(_ST, _ST.c.study_instance_uid == _T.c.study_instance_uid)
        .join(standings, standings.c.study_id == _ST.c.id)
        .where(_T.c.order_id == order_id, standings.c.verdict == "pending")
    )
    return {*fetching, *pending}
