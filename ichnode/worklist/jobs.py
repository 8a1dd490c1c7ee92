"""Jobs: claimed with a lease, attempts counted at claim, finished in one commit with result, reports and deliveries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, update

from ichnode.core.findings import Warned
from ichnode.core.lifecycle import JOB, JobState, advance, sources, target
from ichnode.core.urgency import PATIENCE_S, Urgency, Waiting, passed_over, turn_of
from ichnode.worklist import schema
from ichnode.worklist.assembly import Filed, filed_slices, queue_job
from ichnode.worklist.database import note
from ichnode.worklist.opening import supersede_jobs

_J = schema.jobs


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job with all that it needs."""

    id: int
    series_id: int
    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    revision: int
    kind: str
    attempts: int
    owner: str
    closed_at: datetime
    missing: str | None
    conflicts: int
    reason: Warned | None
    filed: tuple[Filed, ...]


@dataclass(frozen=True, slots=True)
class Coming:
    """A series that would be claimed now, of the revision and with the files that it has now."""

    series_id: int
    revision: int
    filed: tuple[Filed, ...]


def claim_job(
    tx: Connection, now: datetime, kind: str, owner: str, lease_s: float,
    patience_s: float = PATIENCE_S[Urgency.ROUTINE],
) -> Job | None:  # fmt: skip
    """Take the job whose turn it is; None when nothing is due. The attempt counts from here.

    Of the same urgency the one that has waited longest; see `ichnode.core.urgency.turn_of`.

    Parameters
    ----------
    patience_s : float
        Seconds after which routine work is no longer only passed over.
    """
    job_id, skipped = _in_turn(tx, now, kind, {**PATIENCE_S, Urgency.ROUTINE: patience_s})
    if job_id is None:
        return None
    if skipped:
        tx.execute(update(_J).where(_J.c.id.in_(skipped)).values(passed_over=True))
    row = tx.execute(
        select(
            _J.c.id, _J.c.series_id, schema.series.c.study_id, schema.studies.c.study_instance_uid,
            schema.series.c.series_instance_uid, _J.c.revision, _J.c.attempts, schema.series.c.closed_at,
            schema.series.c.missing, schema.series.c.conflicts, _J.c.reason_code, _J.c.reason, _J.c.state,
        )
        .join(schema.series, schema.series.c.id == _J.c.series_id)
        .join(schema.studies, schema.studies.c.id == schema.series.c.study_id)
        .where(_J.c.id == job_id)
    ).one()  # fmt: skip
    tx.execute(
        update(_J)
        .where(_J.c.id == row.id)
        .values(
            state=advance(JOB, row.state, "claim"), attempts=row.attempts + 1, lease_owner=owner,
            lease_until=now + timedelta(seconds=lease_s), started_at=now, passed_over=False,
        )
    )  # fmt: skip
    note(tx, now, "job.claimed", row.study_id, row.series_id, kind=kind, attempt=row.attempts + 1)
    reason = Warned(row.reason_code, row.reason) if row.reason_code else None
    return Job(
        row.id, row.series_id, row.study_id, row.study_instance_uid, row.series_instance_uid, row.revision, kind,
        row.attempts + 1, owner, row.closed_at, row.missing, row.conflicts, reason,
        _filed(tx, row.series_id),
    )  # fmt: skip


def next_in_turn(tx: Connection, now: datetime, kind: str, patience_s: float) -> Coming | None:
    """Return the series whose job would be claimed now; that changes nothing and soon may not hold."""
    job_id, _ = _in_turn(tx, now, kind, {**PATIENCE_S, Urgency.ROUTINE: patience_s})
    if job_id is None:
        return None
    series_id, revision = tx.execute(select(_J.c.series_id, _J.c.revision).where(_J.c.id == job_id)).one()
    return Coming(series_id, revision, _filed(tx, series_id))


def _filed(tx: Connection, series_id: int) -> tuple[Filed, ...]:
    return tuple(filed_slices(tx, series_id) or filed_slices(tx, series_id, conflict=True))


def _in_turn(tx: Connection, now: datetime, kind: str, patience_s: Mapping[int, float]) -> tuple[int | None, list[int]]:
    """Return the job whose turn it is, and those that are passed over: of each urgency the first is looked at."""
    heads: dict[Waiting, int] = {}
    for urgency in Urgency:
        first = tx.execute(
            select(_J.c.id, _J.c.queued_at, _J.c.passed_over)
            .where(_J.c.kind == kind, _J.c.state == JobState.QUEUED, _J.c.urgency == urgency, _J.c.not_before <= now)
            .order_by(_J.c.id)  # not by its time: the clock may have been set back since
            .limit(1)
        ).first()
        if first is not None:
            heads[Waiting(urgency, (now - first.queued_at).total_seconds(), first.passed_over)] = first.id
    if not heads:
        return None, []
    waiting = list(heads)
    return heads[turn_of(waiting, patience_s)], [heads[one] for one in passed_over(waiting, patience_s)]


def has_waited(tx: Connection, kind: str, since: datetime) -> bool:
    """Tell whether a job of this kind was queued before `since` and could be claimed then."""
    waits = select(_J.c.id).where(
        _J.c.kind == kind, _J.c.state == JobState.QUEUED, _J.c.queued_at < since, _J.c.not_before < since
    )
    return bool(tx.scalar(select(waits.exists())))


def pictures_to_come(tx: Connection, study_id: int) -> bool:
    """Tell whether pictures of a study are still being made."""
    unfinished = select(_J.c.id).join(schema.series, schema.series.c.id == _J.c.series_id).where(
        schema.series.c.study_id == study_id, _J.c.kind == "illustrate",
        _J.c.state.in_((JobState.QUEUED, JobState.RUNNING)),
    )  # fmt: skip
    return bool(tx.scalar(select(unfinished.exists())))


def overdue_owners(tx: Connection, now: datetime) -> set[str]:
    """Return the owners whose lease is over: their worker hangs."""
    return set(tx.scalars(select(_J.c.lease_owner).where(_J.c.state == JobState.RUNNING, _J.c.lease_until < now)))


def try_again(
    tx: Connection, now: datetime, job: Job, error: str, delay_s: float, max_attempts: int, poison: Warned
) -> None:
    """Put a job back after a transient failure; after `max_attempts` it has failed for the reason `poison`."""
    if job.attempts >= max_attempts:
        fail(tx, now, job, error, poison)
    elif _mine(tx, job, "try_again", error=error, not_before=now + timedelta(seconds=delay_s)):
        note(tx, now, "job.again", job.study_id, job.series_id, attempt=job.attempts)


def give_back(tx: Connection, now: datetime, job: Job, because: str) -> None:
    """Put a job back that was cut short by no fault of its own: it is due at once, and the attempt does not count."""
    if _mine(tx, job, "try_again", error=None, not_before=now, attempts=job.attempts - 1):
        note(tx, now, "job.given_back", job.study_id, job.series_id, because=because)


def waiting(tx: Connection, now: datetime, kind: str, most: int = 1000) -> int:
    """Return how many jobs are due, or `most` where there are more."""
    due = select(_J.c.id).where(_J.c.kind == kind, _J.c.state == JobState.QUEUED, _J.c.not_before <= now).limit(most)
    return tx.scalar(select(func.count()).select_from(due.subquery())) or 0


def fail(tx: Connection, now: datetime, job: Job, error: str, reason: Warned) -> None:
    """Mark a job failed and queue the report that says that the series was not analysed, and why."""
    if _mine(tx, job, "fail", error=error, finished_at=now):
        _after_failure(tx, now, job.series_id, job.study_id, job.revision, job.kind, reason)


def release_leases(
    tx: Connection, now: datetime, living: Collection[str], max_attempts: int, poison: Warned,
    dead_owner: str | None = None,
) -> int:  # fmt: skip
    """Free the jobs of dead workers: of boots that are not `living`, of an expired lease, or of `dead_owner`.

    Returns
    -------
    int
        How many were freed or, with their attempts used up, failed.
    """
    gone = [and_(*(_J.c.lease_owner.not_like(f"{boot_id}/%") for boot_id in living)), _J.c.lease_until < now]
    if dead_owner is not None:
        gone.append(_J.c.lease_owner == dead_owner)
    rows = tx.execute(
        select(_J.c.id, _J.c.series_id, schema.series.c.study_id, _J.c.revision, _J.c.kind, _J.c.attempts)
        .join(schema.series, schema.series.c.id == _J.c.series_id)
        .where(_J.c.state == JobState.RUNNING, or_(*gone))
    ).all()
    for row in rows:
        failed = row.attempts >= max_attempts
        tx.execute(
            update(_J)
            .where(_J.c.id == row.id)
            .values(
                state=target(JOB, "fail" if failed else "try_again"), lease_owner=None, lease_until=None,
                not_before=now, error="the worker ended in the middle of this job", finished_at=now if failed else None,
            )
        )  # fmt: skip
        if failed:
            _after_failure(tx, now, row.series_id, row.study_id, row.revision, row.kind, poison)
        else:
            note(tx, now, "job.released", row.study_id, row.series_id, attempt=row.attempts)
    return len(rows)


def retry_jobs(tx: Connection, now: datetime, series_ids: list[int] | None) -> int:
    """Queue failed analyses again, of some series or of all; returns how many.

    A report that would say that the analysis failed is not made any more where it has not been made yet.
    """
    chosen = [_J.c.state.in_(sources(JOB, "retry"))]
    if series_ids is not None:
        chosen.append(_J.c.series_id.in_(series_ids))
    rows = tx.execute(
        select(_J.c.id, _J.c.series_id, schema.series.c.study_id, _J.c.kind)
        .join(schema.series, schema.series.c.id == _J.c.series_id)
        .where(*chosen)
        .order_by(_J.c.kind)
    ).all()
    analysed_again = {row.series_id for row in rows if row.kind == "analyse"}
    rows = [row for row in rows if row.kind == "analyse" or row.series_id not in analysed_again]
    for row in rows:
        if row.kind == "analyse":
            supersede_jobs(tx, row.series_id, "report")
        tx.execute(
            update(_J)
            .where(_J.c.id == row.id)
            .values(state=target(JOB, "retry"), attempts=0, not_before=now, queued_at=now, error=None, finished_at=None)
        )
        note(tx, now, "job.retried", row.study_id, row.series_id, kind=row.kind)
    return len(rows)


def finish_job(tx: Connection, now: datetime, job: Job) -> bool:
    """Mark a job done. False when it is no longer this worker's (superseded, lease lost): its work is discarded."""
    return _mine(tx, job, "finish", finished_at=now, error=None)


def _mine(tx: Connection, job: Job, event: str, **values: Any) -> bool:
    changed = tx.execute(
        update(_J)
        .where(_J.c.id == job.id, _J.c.state.in_(sources(JOB, event)), _J.c.lease_owner == job.owner)
        .values(state=target(JOB, event), lease_owner=None, lease_until=None, **values)
    ).rowcount
    return bool(changed)


def _after_failure(
    tx: Connection, now: datetime, series_id: int, study_id: int, revision: int, kind: str, reason: Warned
) -> None:
    note(tx, now, "job.failed", study_id, series_id, kind=kind, reason=reason.code)
    if kind == "analyse":
        queue_job(tx, now, series_id, revision, "report", reason)
