"""Series from first slice to verdict: postponed, closed for analysis, ignored with a reason, outranked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ichnode.core.findings import Warned
from ichnode.core.lifecycle import JOB, SERIES, JobState, SeriesState, advance, sources, target
from ichnode.core.slices import Slice
from ichnode.worklist import schema
from ichnode.worklist.database import note
from ichnode.worklist.opening import supersede_jobs
from ichnode.worklist.urgency import urgency_of_series

_S = schema.series


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series as the assembler sees it."""

    id: int
    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    state: str
    revision: int
    received: int
    conflicts: int
    first_slice_at: datetime
    last_slice_at: datetime
    longest_pause_s: float
    due_at: datetime
    waiting_for: str | None
    expected: int | None
    expected_at: datetime | None
    missing: str | None
    preference: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Filed:
    """One slice and the spool file that holds it."""

    file: str
    slice: Slice


_COLUMNS = (
    _S.c.id, _S.c.study_id, schema.studies.c.study_instance_uid, _S.c.series_instance_uid, _S.c.state, _S.c.revision,
    _S.c.received, _S.c.conflicts, _S.c.first_slice_at, _S.c.last_slice_at, _S.c.longest_pause_s, _S.c.due_at,
    _S.c.waiting_for, _S.c.expected, _S.c.expected_at, _S.c.missing, _S.c.preference,
)  # fmt: skip


def due_series(tx: Connection, now: datetime, most: int = 100) -> list[SeriesRow]:
    """Return the series that wait for a look, the longest due first."""
    rows = tx.execute(
        select(*_COLUMNS)
        .join(schema.studies)
        .where(_S.c.state == SeriesState.RECEIVING, _S.c.due_at <= now)
        .order_by(_S.c.due_at)
        .limit(most)
    ).mappings()
    return [SeriesRow(**row) for row in rows]


def next_due(tx: Connection) -> datetime | None:
    """Return when the next look at a series is due; None when nothing is being received."""
    found = tx.scalar(select(func.min(_S.c.due_at)).where(_S.c.state == SeriesState.RECEIVING))
    return datetime.fromisoformat(found) if isinstance(found, str) else found


def siblings(tx: Connection, row: SeriesRow) -> list[SeriesRow]:
    """Return the other series of the same study."""
    rows = tx.execute(
        select(*_COLUMNS).join(schema.studies).where(_S.c.study_id == row.study_id, _S.c.id != row.id).order_by(_S.c.id)
    ).mappings()
    return [SeriesRow(**sibling) for sibling in rows]


def chosen_series(tx: Connection, study_id: int) -> int | None:
    """Return the id of the series that is read for a study, if one has been chosen."""
    return tx.scalar(select(schema.studies.c.chosen_series_id).where(schema.studies.c.id == study_id))


def filed_slices(tx: Connection, series_id: int, *, conflict: bool = False) -> list[Filed]:
    """Return every slice of a series in order of arrival.

    Contents whose SOP Instance UID other content came under before are left out, or (`conflict`) are all there is.
    """
    rows = tx.execute(
        select(schema.instances.c.file, schema.instances.c.slices)
        .where(schema.instances.c.series_id == series_id, schema.instances.c.conflict.is_(conflict))
        .order_by(schema.instances.c.id)
    )
    return [Filed(file, Slice.from_json(facts)) for file, slices in rows for facts in slices]


def association_evidence(tx: Connection, series_id: int) -> tuple[bool, bool]:
    """Return (is one still open, did every one end by release) for the associations that sent a series."""
    rows = tx.execute(
        select(schema.instances.c.association_id, schema.associations.c.ending)
        .distinct()
        .select_from(schema.instances.outerjoin(schema.associations))
        .where(schema.instances.c.series_id == series_id)
    )
    # Of an adopted file nobody knows how it came: as if its association had been lost.
    endings = {"lost" if association_id is None else ending for association_id, ending in rows}
    return None in endings, endings == {"released"}


def came_in_one(tx: Connection, series_id: int) -> bool:
    """Tell whether one association brought all slices of a series."""
    brought = select(schema.instances.c.association_id).where(schema.instances.c.series_id == series_id).distinct()
    found = tx.scalars(brought.limit(2)).all()
    return len(found) == 1 and found[0] is not None


def record_count(tx: Connection, at: datetime, row: SeriesRow, expected: int | None) -> None:
    """Keep what the PACS counts for a series and when it said so."""
    tx.execute(update(_S).where(_S.c.id == row.id).values(expected=expected, expected_at=at))


def with_count(row: SeriesRow, expected: int | None, at: datetime) -> SeriesRow:
    """Return the row as it is after `record_count`."""
    return replace(row, expected=expected, expected_at=at)


def postpone(tx: Connection, row: SeriesRow, until: datetime, because: str, preference: dict[str, Any]) -> None:
    """Look at the series again at `until`; a slice that came meanwhile has set its own time."""
    tx.execute(
        update(_S)
        .where(*_unchanged(row), _S.c.due_at == row.due_at)
        .values(due_at=until, waiting_for=because, preference=preference)
    )


def close(
    tx: Connection, at: datetime, row: SeriesRow, because: str, missing: str | None, preference: dict[str, Any]
) -> bool:
    """Close a series for analysis, choose it for its study and queue the job.

    Returns
    -------
    bool
        False when a slice came since the decision was made; nothing has changed then.
    """
    changed = tx.execute(
        update(_S)
        .where(*_unchanged(row))
        .values(
            state=advance(SERIES, row.state, "close"), closed_at=at, closed_because=because, missing=missing,
            waiting_for=None, preference=preference,
        )
    ).rowcount  # fmt: skip
    if not changed:
        return False
    tx.execute(update(schema.studies).where(schema.studies.c.id == row.study_id).values(chosen_series_id=row.id))
    queue_job(tx, at, row.id, row.revision, "analyse", None)
    wake_siblings(tx, at, row)
    note(tx, at, "series.closed", row.study_id, row.id, revision=row.revision, because=because, missing=missing)
    return True


def is_remnant(tx: Connection, row: SeriesRow) -> bool:
    """Tell whether the answer that stands was made of more instances than are here: the others were purged."""
    of_row = schema.results.c.series_id == row.id, schema.results.c.superseded_at.is_(None)
    outcome = tx.scalar(select(schema.results.c.outcome).where(*of_row))
    return outcome is not None and len({instance for instance, _ in outcome.get("order", ())}) > row.received


def ignore(
    tx: Connection, at: datetime, row: SeriesRow, because: str, reason: Warned, preference: dict[str, Any],
    report: bool, *, answer_stands: bool = False,
) -> bool:  # fmt: skip
    """Close a series without analysis, with its reason; queue the report that says so. Returns as `close`.

    With a result that was made before, the report is queued even without `report`: that result no longer holds. When
    it was the series chosen for its study, those that lost against it are looked at again. Not so with `answer_stands`:
    its result goes on to hold, and it goes on to be the one chosen.
    """
    changed = tx.execute(
        update(_S)
        .where(*_unchanged(row))
        .values(
            state=advance(SERIES, row.state, "ignore"), closed_at=at, closed_because=because, waiting_for=None,
            reason_code=reason.code, reason=reason.sentence, preference=preference,
        )
    ).rowcount  # fmt: skip
    if not changed:
        return False
    if not answer_stands:
        if _forget_choice(tx, row):
            _reconsider(tx, at, row)
        if report or _has_result(tx, row.id):
            queue_job(tx, at, row.id, row.revision, "report", reason)
    wake_siblings(tx, at, row)
    note(
        tx, at, "series.ignored", row.study_id, row.id, revision=row.revision, because=because, reason=reason.code,
        **({"answer_stands": True} if answer_stands else {}),
    )  # fmt: skip
    return True


def outrank(tx: Connection, at: datetime, row: SeriesRow, reason: Warned, report: bool) -> None:
    """Take back the choice of a closed series: a better one of the same study is there.

    It gets a new revision, so that the report that says so supersedes the one that may have been sent; `report` as for
    `ignore`.
    """
    tx.execute(
        update(_S)
        .where(_S.c.id == row.id)
        .values(
            state=advance(SERIES, row.state, "outranked"), revision=row.revision + 1, closed_at=at,
            reason_code=reason.code, reason=reason.sentence, missing=None,
        )
    )  # fmt: skip
    supersede_jobs(tx, row.id)
    _forget_choice(tx, row)
    if report or _has_result(tx, row.id):
        queue_job(tx, at, row.id, row.revision + 1, "report", reason)
    note(tx, at, "series.outranked", row.study_id, row.id, revision=row.revision + 1)


def wake_siblings(tx: Connection, at: datetime, row: SeriesRow) -> None:
    """Let series of the same study that are being received be due: they may have waited for this one."""
    tx.execute(
        update(_S)
        .where(
            _S.c.study_id == row.study_id, _S.c.id != row.id, _S.c.state.in_(sources(SERIES, "close")), _S.c.due_at > at
        )
        .values(due_at=at)
    )


def queue_job(tx: Connection, at: datetime, series_id: int, revision: int, kind: str, reason: Warned | None) -> None:
    """Queue one job; a report job that is there already (an analysis that failed again) starts anew."""
    values = {
        "attempts": 0, "not_before": at, "queued_at": at, "error": None, "finished_at": None,
        "reason_code": reason.code if reason else None, "reason": reason.sentence if reason else None,
        "urgency": urgency_of_series(tx, series_id), "passed_over": False,
    }  # fmt: skip
    same = (schema.jobs.c.series_id == series_id, schema.jobs.c.revision == revision, schema.jobs.c.kind == kind)
    state = tx.scalar(select(schema.jobs.c.state).where(*same))
    if state is None:
        values |= {"series_id": series_id, "revision": revision, "kind": kind, "state": JobState.QUEUED}
        tx.execute(insert(schema.jobs).values(values))
    else:
        tx.execute(update(schema.jobs).where(*same).values(state=advance(JOB, state, "queue_again"), **values))


def _has_result(tx: Connection, series_id: int) -> bool:
    return tx.scalar(select(schema.results.c.id).where(schema.results.c.series_id == series_id).limit(1)) is not None


def _forget_choice(tx: Connection, row: SeriesRow) -> bool:
    changed = tx.execute(
        update(schema.studies)
        .where(schema.studies.c.id == row.study_id, schema.studies.c.chosen_series_id == row.id)
        .values(chosen_series_id=None)
    ).rowcount
    return bool(changed)


def _reconsider(tx: Connection, at: datetime, lost: SeriesRow) -> None:
    for loser in siblings(tx, lost):
        changed = tx.execute(
            update(_S)
            .where(
                _S.c.id == loser.id,
                _S.c.state.in_(sources(SERIES, "reconsider")),
                _S.c.reason_code == "ANOTHER_SERIES_CHOSEN",
            )
            .values(
                state=target(SERIES, "reconsider"), revision=loser.revision + 1, due_at=at, closed_at=None,
                closed_because=None, reason_code=None, reason=None,
            )
        ).rowcount  # fmt: skip
        if changed:
            supersede_jobs(tx, loser.id)
            note(tx, at, "series.reconsidered", loser.study_id, loser.id, revision=loser.revision + 1)


def _unchanged(row: SeriesRow) -> tuple[Any, ...]:
    return (
        _S.c.id == row.id,
        _S.c.state.in_(sources(SERIES, "close")),
        _S.c.revision == row.revision,
        _S.c.received == row.received,
    )
