"""What is fetched from the archive: listed, claimed, complete, tried again, given up; each visible as a row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update

from ichnode.core.findings import Warned
from ichnode.core.lifecycle import RETRIEVAL, RetrievalState, SeriesState, advance, sources, target
from ichnode.core.wanted import Listed
from ichnode.worklist import schema
from ichnode.worklist.database import note
from ichnode.worklist.hot import Hot
from ichnode.worklist.retrieval_tables import retrievals

SHOULD_HAVE_COME, PRIORS, BACKFILL = 0, 1, 2
"""Urgency: what somebody waits for before what was ordered."""
_T, _S, _ST, _I = retrievals, schema.series, schema.studies, schema.instances
_ORDERED = Hot(
    select(_T.c.id).where(
        _T.c.study_instance_uid == bindparam("study"), _T.c.urgency > bindparam("urgency"),
        _T.c.state == bindparam("fetching"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One series to be fetched."""

    id: int
    study_instance_uid: str
    series_instance_uid: str
    order_id: int | None
    urgency: int
    state: str
    said: int | None
    gave: int
    attempts: int
    not_before: datetime
    created_at: datetime
    started_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Here:
    """What this node has of a series.

    Attributes
    ----------
    instances : int
        0 where the series is not known.
    reason_code : str or None
        Why it is not read, where that has been decided.
    purged : bool
        Its images were here, and retention has removed them.
    """

    study_id: int | None = None
    series_id: int | None = None
    instances: int = 0
    last_slice_at: datetime | None = None
    reason_code: str | None = None
    purged: bool = False

    def has_all(self, said: int | None) -> bool:
        """Tell whether this is all that the archive counts; where it does not count, whether it is anything.

        What retention has removed was here and is answered; it is not fetched again.
        """
        return self.purged or (self.instances > 0 and self.instances >= (said or 0))


_COLUMNS = tuple(_T.c[name] for name in Retrieval.__dataclass_fields__)


def here(tx: Connection, study_uid: str, series_uid: str) -> Here:
    """Return what is here of a series."""
    row = tx.execute(
        select(_S.c.study_id, _S.c.id, _S.c.last_slice_at, _S.c.reason_code, _S.c.state)
        .join(_ST)
        .where(_ST.c.study_instance_uid == study_uid, _S.c.series_instance_uid == series_uid)
    ).first()
    if row is None:
        return Here()
    count = tx.scalar(select(func.count(_I.c.sop_instance_uid.distinct())).where(_I.c.series_id == row.id))
    return Here(row.study_id, row.id, count or 0, row.last_slice_at, row.reason_code, row.state == SeriesState.PURGED)


def of_series(tx: Connection, study_uid: str, series_uid: str) -> Retrieval | None:
    """Return the retrieval of a series, if it was ever listed."""
    row = tx.execute(
        select(*_COLUMNS).where(_T.c.study_instance_uid == study_uid, _T.c.series_instance_uid == series_uid)
    ).first()
    return None if row is None else Retrieval(*row)


def is_ordered(tx: Connection, study_uid: str) -> bool:
    """Tell whether a study comes because of an order, and not by itself: the order's fetch is at it at this moment.

    What is only listed, waits, was withdrawn or given up says nothing: such a study may come live, and then somebody
    waits for it.
    """
    return bool(_ORDERED.rows(tx, study=study_uid, urgency=SHOULD_HAVE_COME, fetching=RetrievalState.FETCHING))


def list_new(
    tx: Connection, now: datetime, listed: Listed, not_before: datetime, urgency: int, order_id: int | None = None
) -> None:
    """File a series that the archive has and this node has not, or not all of."""
    found = here(tx, listed.study_instance_uid, listed.series_instance_uid)
    tx.execute(
        insert(_T).values(
            study_instance_uid=listed.study_instance_uid, series_instance_uid=listed.series_instance_uid,
            order_id=order_id, urgency=urgency, state=RetrievalState.PENDING, said=listed.images,
            gave=found.instances, attempts=0, not_before=not_before, created_at=now,
        )
    )  # fmt: skip
    note(tx, now, "retrieval.listed", found.study_id, found.series_id, said=listed.images, here=found.instances)


def list_again(
    tx: Connection, now: datetime, one: Retrieval, said: int | None, not_before: datetime, most_attempts: int,
    urgency: int, order_id: int | None,
) -> None:  # fmt: skip
    """The archive counts more than before: fetch again. After a failure there is one more attempt, not all of them."""
    attempts = most_attempts - 1 if one.state == RetrievalState.FAILED else 0
    changed = tx.execute(
        update(_T)
        .where(_T.c.id == one.id, _T.c.state == one.state)
        .values(
            state=advance(RETRIEVAL, one.state, "list_again"), said=said, attempts=attempts, not_before=not_before,
            ended_at=None, reason_code=None, error=None, urgency=min(urgency, one.urgency), order_id=order_id,
        )
    ).rowcount  # fmt: skip
    if changed:
        _note(tx, now, "retrieval.listed", one, said=said)


def count_again(tx: Connection, one: Retrieval, said: int | None, not_before: datetime) -> None:
    """The archive counts otherwise while the series still waits; that is no transition."""
    tx.execute(
        update(_T)
        .where(_T.c.id == one.id, _T.c.state.in_(sources(RETRIEVAL, "claim")))
        .values(said=said, not_before=not_before)
    )


def hasten(
    tx: Connection, now: datetime, one: Retrieval, urgency: int, order_id: int | None, not_before: datetime
) -> None:
    """A series that waits for an order is wanted more urgently: take it from there."""
    changed = tx.execute(
        update(_T)
        .where(_T.c.id == one.id, _T.c.state.in_(sources(RETRIEVAL, "claim")), _T.c.urgency > urgency)
        .values(urgency=urgency, order_id=order_id, not_before=not_before)
    ).rowcount
    if changed:
        _note(tx, now, "retrieval.hastened", one, urgency=urgency)


def is_due(tx: Connection, now: datetime) -> bool:
    """Tell whether anything is due, allowed or not."""
    due = select(_T.c.id).where(_T.c.state.in_(sources(RETRIEVAL, "claim")), _T.c.not_before <= now).limit(1)
    return tx.scalar(due) is not None


def may_claim(tx: Connection, now: datetime, order_ids: list[int], studies: list[str]) -> bool:
    """Tell whether `claim` would find anything."""
    return tx.execute(_next(now, order_ids, studies)).first() is not None


def claim(tx: Connection, now: datetime, boot_id: str, order_ids: list[int], studies: list[str]) -> Retrieval | None:
    """Take the most urgent series that is due; None when nothing is. The attempt counts from here.

    Parameters
    ----------
    order_ids : list of int
        Orders that may begin another study now.
    studies : list of str
        Studies of orders that have begun and may go on.
    """
    row = tx.execute(_next(now, order_ids, studies).with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    one = Retrieval(*row)
    tx.execute(
        update(_T)
        .where(_T.c.id == one.id)
        .values(
            state=advance(RETRIEVAL, one.state, "claim"), attempts=one.attempts + 1, boot_id=boot_id,
            started_at=one.started_at or now,
        )
    )  # fmt: skip
    _note(tx, now, "retrieval.claimed", one, attempt=one.attempts + 1)
    return of_series(tx, one.study_instance_uid, one.series_instance_uid)


def complete(tx: Connection, now: datetime, one: Retrieval, has: Here) -> bool:
    """All that the archive counts is here."""
    changed = _move(tx, one, "complete", gave=has.instances, ended_at=now, error=None, reason_code=None)
    if changed:
        _note(tx, now, "retrieval.complete", one, here=has.instances, attempts=one.attempts)
    return changed


def try_again(tx: Connection, now: datetime, one: Retrieval, has: Here, error: str, delay_s: float) -> None:
    """It is still not all here: try again later."""
    later = now + timedelta(seconds=delay_s)
    if _move(tx, one, "try_again", gave=has.instances, not_before=later, error=error):
        _note(tx, now, "retrieval.again", one, said=one.said, here=has.instances, attempt=one.attempts)


def put_back(tx: Connection, now: datetime, one: Retrieval, error: str | None, not_before: datetime) -> None:
    """Nothing was tried with this series: the archive is not there, or the series is still coming by itself."""
    if _move(tx, one, "try_again", attempts=one.attempts - 1, not_before=not_before, error=error):
        _note(tx, now, "retrieval.put_back", one)


def give_up(tx: Connection, now: datetime, one: Retrieval, has: Here, reason: Warned) -> None:
    """Every attempt is used up; visible until the archive counts more, or `ichnode retry`."""
    changed = _move(
        tx, one, "give_up", gave=has.instances, ended_at=now, error=reason.sentence, reason_code=reason.code
    )
    if changed:
        _note(tx, now, "retrieval.failed", one, said=one.said, here=has.instances, reason=reason.code)


def release(tx: Connection, now: datetime, living: Collection[str]) -> int:
    """Let what boots were fetching that are not `living` be due again; its attempt stays counted. Returns how many."""
    rows = tx.execute(
        select(*_COLUMNS).where(_T.c.state.in_(sources(RETRIEVAL, "try_again")), _T.c.boot_id.not_in(living))
    ).all()
    for row in rows:
        let_go(tx, now, Retrieval(*row), now)
    return len(rows)


def let_go(tx: Connection, now: datetime, one: Retrieval, not_before: datetime) -> None:
    """Whoever was fetching a series broke off; its attempt stays counted. Nothing where it has moved on."""
    if _move(tx, one, "try_again", not_before=not_before):
        _note(tx, now, "retrieval.released", one)


def retry(tx: Connection, now: datetime, study_uids: list[str] | None) -> int:
    """Fetch what was given up anew, of some studies or of all; returns how many."""
    chosen = [_T.c.state.in_(sources(RETRIEVAL, "retry"))]
    if study_uids is not None:
        chosen.append(_T.c.study_instance_uid.in_(study_uids))
    rows = tx.execute(select(*_COLUMNS).where(*chosen)).all()
    for row in rows:
        if _move(tx, Retrieval(*row), "retry", attempts=0, not_before=now, ended_at=None, error=None, reason_code=None):
            _note(tx, now, "retrieval.retried", Retrieval(*row))
    return len(rows)


def counts(tx: Connection) -> dict[str, int]:
    """Return how many retrievals are in each state."""
    found = {str(state): 0 for state in RetrievalState}
    for state, number in tx.execute(select(_T.c.state, func.count()).group_by(_T.c.state)):
        found[state] = number
    return found


def given_up(tx: Connection, most: int = 50) -> list[dict[str, Any]]:
    """Return what was not fetched, the latest first: UIDs, counts, attempts, and why."""
    rows = tx.execute(
        select(_T).where(_T.c.state == RetrievalState.FAILED).order_by(_T.c.ended_at.desc()).limit(most)
    ).mappings()
    return [dict(row) for row in rows]


def _next(now: datetime, order_ids: list[int], studies: list[str]) -> Select[Any]:
    may = or_(_T.c.order_id.is_(None), _T.c.order_id.in_(order_ids), _T.c.study_instance_uid.in_(studies))
    return (
        select(*_COLUMNS)
        .where(_T.c.state == RetrievalState.PENDING, _T.c.not_before <= now, may)
        .order_by(_T.c.urgency, _T.c.id)
        .limit(1)
    )


def _move(tx: Connection, one: Retrieval, event: str, **values: Any) -> bool:
    changed = tx.execute(
        update(_T)
        .where(_T.c.id == one.id, _T.c.state == one.state, _T.c.state.in_(sources(RETRIEVAL, event)))
        .values(state=target(RETRIEVAL, event), **values)
    ).rowcount
    return bool(changed)


def _note(tx: Connection, now: datetime, event: str, one: Retrieval, **detail: Any) -> None:
    found = here(tx, one.study_instance_uid, one.series_instance_uid)
    note(tx, now, event, found.study_id, found.series_id, retrieval=one.id, **detail)
