"""Which series may be purged, and the purge: marked here first, with the files that are to be unlinked afterwards.

A file to be unlinked has a row in `removals`. Whoever takes that row away first has the file: retention, which then
unlinks it, or a slice that comes again (`ichnode.worklist.receipts`), which then keeps it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    union,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from ichnode.core.lifecycle import SERIES, DeliveryState, JobState, ModelState, SeriesState, sources, target
from ichnode.errors import PermanentError
from ichnode.worklist import model_tables, schema, upkeep_tables
from ichnode.worklist.database import note

_S, _ST, _I, _J, _R, _P, _D, _N, _X = (
    schema.series, schema.studies, schema.instances, schema.jobs, schema.results, schema.reports, schema.deliveries,
    schema.notices, upkeep_tables.removals,
)  # fmt: skip
_W, _M = model_tables.shadow_results, model_tables.models
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds a series back.

    Attributes
    ----------
    quiet_since : datetime
        Nothing may have come, been answered or been sent since.
    committing : collection of str
        Destinations from which a commitment is awaited before a delivery counts as done.
    keep_labelled : bool
    """

    quiet_since: datetime
    committing: Collection[str] = ()
    keep_labelled: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series that may be purged.

    Attributes
    ----------
    patient_id : str
        For telling patients apart; never to be written anywhere.
    bytes : int
        Of its slices and reports.
    """

    id: int
    study_id: int
    study_instance_uid: str
    patient_id: str
    last_slice_at: datetime
    bytes: int


def candidates(tx: Connection, rule: Rule) -> Iterator[Candidate]:
    """Yield the series that may be purged, the one that has been quiet longest first.

    A page of the oldest is taken by the index alone, and what holds them back is looked up for these few: asked for
    all at once, a worklist of a million series would be read whole before the first is known.
    """
    slices = select(func.coalesce(func.sum(_I.c.size), 0)).where(_I.c.series_id == _S.c.id).scalar_subquery()
    reports = (
        select(func.coalesce(func.sum(_P.c.size), 0)).select_from(_P.join(_R)).where(_R.c.series_id == _S.c.id)
    ).scalar_subquery()
    oldest = tx.execute(_oldest(rule)).all()
    while oldest:
        chosen = (
            select(
                _S.c.id, _S.c.study_id, _ST.c.study_instance_uid, _ST.c.patient_id, _S.c.last_slice_at,
                (slices + reports).label("bytes"),
            )
            .join(_ST)
            .where(_S.c.id.in_([row.id for row in oldest]), ~_answered_lately(rule), *_free(rule))
            .order_by(_S.c.last_slice_at, _S.c.id)
        )  # fmt: skip
        yield from (Candidate(*row) for row in tx.execute(chosen).all())
        last = oldest[-1]
        same = and_(_S.c.last_slice_at == last.last_slice_at, _S.c.id > last.id)
        later = and_(_S.c.last_slice_at >= last.last_slice_at, or_(_S.c.last_slice_at > last.last_slice_at, same))
        oldest = tx.execute(_oldest(rule, later)).all()


def _oldest(rule: Rule, *later: ColumnElement[bool]) -> Select[Any]:
    """Select a page of series by age; state by state, as the index has them."""
    pages = [
        select(_S.c.id, _S.c.last_slice_at)
        .where(_S.c.state == state, _S.c.last_slice_at <= rule.quiet_since, *later)
        .order_by(_S.c.last_slice_at, _S.c.id)
        .limit(_PAGE)
        .subquery()
        for state in sources(SERIES, "purge")
    ]
    found = union_all(*(select(page) for page in pages)).subquery()
    return select(found).order_by(found.c.last_slice_at, found.c.id).limit(_PAGE)


def held(tx: Connection, rule: Rule) -> dict[str, int]:
    """Return how many series are old enough and stay all the same, by what holds them; one may count several times."""
    old = and_(_S.c.state.in_(sources(SERIES, "purge")), *_quiet(rule))
    counted = {
        name: tx.scalar(select(func.count()).select_from(_S.join(_ST)).where(old, reason)) or 0
        for name, reason in _holds(rule).items()
    }
    return {name: number for name, number in counted.items() if number}


def purge(tx: Connection, now: datetime, one: Candidate, rule: Rule, because: str) -> bool:
    """Mark a series as purged, and its files as those to unlink; its answers stay.

    Returns
    -------
    bool
        False when it may not be any more; nothing is written then.

    Raises
    ------
    PermanentError
        The database refuses the marks; the caller's transaction has to be rolled back.
    """
    try:
        return _mark(tx, now, one, rule, because)
    except IntegrityError as error:
        raise PermanentError(f"Series {one.id} cannot be marked as purged: the database refuses.", "MARKS") from error


def _mark(tx: Connection, now: datetime, one: Candidate, rule: Rule, because: str) -> bool:
    still = select(_S.c.id).join(_ST).where(_S.c.id == one.id, _may_go(rule))
    changed = tx.execute(
        update(_S).where(_S.c.id.in_(still)).values(state=target(SERIES, "purge"), purged_at=now, waiting_for=None)
    ).rowcount
    if not changed:
        return False
    named = union(
        select(_I.c.file).where(_I.c.series_id == one.id),
        select(_P.c.file).join(_R).where(_R.c.series_id == one.id),
        select(_R.c.heat_file).where(_R.c.series_id == one.id, _R.c.heat_file.is_not(None)),
    ).subquery()
    # Named by content, a file may be another series' too; or it was marked by the purge before this one.
    files = tx.scalars(select(named.c.file).where(~exists().where(_X.c.file == named.c.file))).all()
    if files:
        tx.execute(insert(_X), [{"file": file, "series_id": one.id} for file in sorted(files)])
    tx.execute(delete(_I).where(_I.c.series_id == one.id))
    note(tx, now, "series.purged", one.study_id, one.id, because=because, files=len(files))
    return True


def take_removals(tx: Connection, most: int) -> tuple[int, list[str]]:
    """Take away the rows of some files that are to be unlinked.

    The caller unlinks them durably before it commits.

    Returns
    -------
    (int, list of str)
        How many rows were taken, and the files of these that nothing refers to. Reports and heat maps of a series that
        slices came for again stay until that one is purged.
    """
    files = tx.scalars(select(_X.c.file).where(_is_open()).order_by(_X.c.file).limit(most)).all()
    taken = [file for file in files if tx.execute(delete(_X).where(_X.c.file == file)).rowcount]
    return len(taken), [file for file in taken if not _is_used(tx, file)]


def is_marked(tx: Connection) -> bool:
    """Tell whether files are marked that `take_removals` would take: their bytes are not free yet."""
    return bool(tx.scalar(select(select(_X.c.file).where(_is_open()).exists())))


def bytes_since(tx: Connection, since: datetime) -> int:
    """Return how many bytes of slices have come since."""
    return tx.scalar(select(func.coalesce(func.sum(_I.c.size), 0)).where(_I.c.received_at >= since)) or 0


def unnamed(tx: Connection, files: Sequence[str]) -> list[str]:
    """Return those of some reports and heat maps of which no row speaks."""
    by_reports = {*tx.scalars(select(_P.c.file).where(_P.c.file.in_(files)))}
    by_results = {*tx.scalars(select(_R.c.heat_file).where(_R.c.heat_file.in_(files)))}
    waiting = {*tx.scalars(select(_X.c.file).where(_X.c.file.in_(files)))}
    return [file for file in files if file not in by_reports | by_results | waiting]


def _is_open() -> ColumnElement[bool]:
    reopened = select(_S.c.id).where(_S.c.id == _X.c.series_id, _S.c.state != SeriesState.PURGED).exists()
    return not_(and_(reopened, ~_X.c.file.like("slices/%")))


def _is_used(tx: Connection, file: str) -> bool:
    """Tell whether a series that is not purged still has this file; the same content may belong to two."""
    here = _S.c.state != SeriesState.PURGED
    of_slice = select(_I.c.id).where(_I.c.file == file)
    of_heat = select(_R.c.id).join(_S).where(_R.c.heat_file == file, here)
    return any(tx.execute(select(found.exists())).scalar() for found in (of_slice, of_heat))


def _may_go(rule: Rule) -> ColumnElement[bool]:
    return and_(_S.c.state.in_(sources(SERIES, "purge")), *_quiet(rule), *_free(rule))


def _quiet(rule: Rule) -> list[ColumnElement[bool]]:
    return [_S.c.last_slice_at <= rule.quiet_since, ~_answered_lately(rule)]


def _answered_lately(rule: Rule) -> ColumnElement[bool]:
    return exists().where(_R.c.series_id == _S.c.id, _R.c.created_at > rule.quiet_since)


def _free(rule: Rule) -> list[ColumnElement[bool]]:
    return [not_(reason) for reason in _holds(rule).values()]


def _holds(rule: Rule) -> dict[str, ColumnElement[bool]]:
    """Return what holds a series back, by name; of `series` joined with `studies`."""
    of_series = _R.c.series_id == _S.c.id
    unsent = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED, DeliveryState.AWAITING)
    to_commit = and_(_D.c.state == DeliveryState.DELIVERED, _D.c.destination.in_(list(rule.committing)))
    sibling = _S.alias()
    shadow = select(_M.c.shadowed_at).where(_M.c.state == ModelState.SHADOW).scalar_subquery()
    read_by_shadow = select(_W.c.id).where(_W.c.result_id == _R.c.id).exists()
    holds = {
        "study still arriving": exists().where(
            sibling.c.study_id == _S.c.study_id, sibling.c.state == SeriesState.RECEIVING
        ),
        "analysis unfinished or failed": exists().where(
            _J.c.series_id == _S.c.id, _J.c.state.in_((JobState.QUEUED, JobState.RUNNING, JobState.FAILED))
        ),
        "object not delivered": select(_D.c.id)
        .select_from(_D.join(_P, _P.c.id == _D.c.report_id).join(_R, _R.c.id == _P.c.result_id))
        .where(of_series, or_(_D.c.state.in_(unsent), to_commit))
        .exists(),
        "notice not delivered": or_(
            _ST.c.notices_due_at.is_not(None),
            exists().where(_N.c.study_id == _S.c.study_id, _N.c.escalate_at.is_not(None)),
            select(_D.c.id)
            .select_from(_D.join(_N, _N.c.id == _D.c.notice_id))
            .where(_N.c.study_id == _S.c.study_id, _D.c.state.in_(unsent))
            .exists(),
        ),
        "rejection note unmade": exists().where(of_series, _R.c.retraction.in_(("due", "failed"))),
        "shadow still to read": or_(
            select(_W.c.id).select_from(_W.join(_R)).where(of_series, _W.c.state == "running").exists(),
            exists().where(of_series, _R.c.superseded_at.is_(None), _R.c.created_at >= shadow, ~read_by_shadow),
        ),
    }  # fmt: skip
    if rule.keep_labelled:
        said = schema.feedback
        holds["labelled by a reader"] = (
            select(said.c.id).select_from(said.join(_R)).where(of_series, said.c.superseded_at.is_(None)).exists()
        )
    return holds
