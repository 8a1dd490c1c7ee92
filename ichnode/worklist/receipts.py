"""Recording that a slice has arrived: new, duplicate or conflict; one transaction, before it is acknowledged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from ichnode.core.lifecycle import JOB, SERIES, SeriesState, advance, sources, target
from ichnode.core.slices import Slice, StudyFacts
from ichnode.core.urgency import Said
from ichnode.worklist import schema, upkeep_tables
from ichnode.worklist.database import new_key, note
from ichnode.worklist.hot import Hot
from ichnode.worklist.retrievals import is_ordered
from ichnode.worklist.urgency import asked_urgently, hasten, set_urgency


class Disposition(StrEnum):
    """What a receipt turned out to be."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One instance that lies durably in the spool."""

    study: StudyFacts
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    size: int
    file: str
    slices: tuple[Slice, ...]
    received_at: datetime
    association_id: int | None = None
    """None for a file adopted from the spool."""
    urgent: Said | None = None
    """Why it is urgent, if its sender or the slice itself says so."""


_S, _I = schema.series, schema.instances
_KNOWN = Hot(select(_I.c.digest, _I.c.file).where(_I.c.sop_instance_uid == bindparam("uid")))
_SERIES = Hot(
    select(
        _S.c.id, _S.c.study_id, _S.c.state, _S.c.revision, _S.c.received, _S.c.conflicts, _S.c.last_slice_at,
        _S.c.longest_pause_s, schema.studies.c.ordered_at, schema.studies.c.urgent_because,
    )
    .join(schema.studies)
    .where(
        schema.studies.c.study_instance_uid == bindparam("study"), _S.c.series_instance_uid == bindparam("series")
    )
)  # fmt: skip
_COUNT_ONE = Hot(
    update(_S)
    .where(_S.c.id == bindparam("series_id"))
    .values(
        received=bindparam("n"),
        last_slice_at=bindparam("last"),
        longest_pause_s=bindparam("pause"),
        due_at=bindparam("due"),
    )
)
_STUDY = Hot(select(schema.studies.c.id).where(schema.studies.c.study_instance_uid == bindparam("uid")))
_NEW_STUDY, _NEW_SERIES = insert(schema.studies), insert(_S)
_KEEP = Hot(delete(upkeep_tables.removals).where(upkeep_tables.removals.c.file == bindparam("file")))
_INSTANCE = Hot(insert(_I).values({c.name: bindparam(c.name) for c in _I.c if c.name != "id"}))


def record_receipt(
    tx: Connection, receipt: Receipt, settle_s: float, *, keep_conflict: bool
) -> tuple[Disposition, list[str]]:
    """Write the row of one slice; a late slice reopens its series as a new revision.

    Parameters
    ----------
    settle_s : float
        Seconds after which assembly should look at the series.
    keep_conflict : bool
        Whether other content under a known SOP Instance UID is kept (and flagged). False writes nothing then, so that
        the caller can compare the contents first.

    Returns
    -------
    (Disposition, list of str)
        The second are the spool files that hold the same: this very content in case of a duplicate, the same SOP
        Instance UID in case of a conflict.
    """
    known = _KNOWN.rows(tx, uid=receipt.sop_instance_uid)
    if same := [file for digest, file in known if digest == receipt.digest]:
        return Disposition.DUPLICATE, same
    conflict = bool(known)
    if conflict and not keep_conflict:
        return Disposition.CONFLICT, [file for _, file in known]
    # It may be the file of a purged series that is about to be unlinked: whoever takes this row away first has it.
    _KEEP.run(tx, file=receipt.file)
    row = _series_row(tx, receipt)
    series_id, study_id, now = row["id"], row["study_id"], receipt.received_at
    ordered = row["ordered_at"] is not None
    if ordered and not is_ordered(tx, receipt.study.study_instance_uid):
        _is_waited_for(tx, now, study_id)
        ordered = False
    if receipt.urgent and row["urgent_because"] is None and not ordered:  # of a prior it was urgent years ago
        hasten(tx, now, study_id, receipt.urgent)
    _INSTANCE.run(
        tx, series_id=series_id, sop_instance_uid=receipt.sop_instance_uid, sop_class_uid=receipt.sop_class_uid,
        transfer_syntax_uid=receipt.transfer_syntax_uid, digest=receipt.digest, size=receipt.size, file=receipt.file,
        slices=[s.as_json() for s in receipt.slices], conflict=conflict, received_at=now,
        association_id=receipt.association_id,
    )  # fmt: skip
    if conflict:
        tx.execute(update(schema.series).where(schema.series.c.id == series_id).values(conflicts=row["conflicts"] + 1))
        note(tx, now, "slice.conflict", study_id, series_id, digest=receipt.digest)
        return Disposition.CONFLICT, [file for _, file in known]
    if row["state"] != SeriesState.RECEIVING:
        row = _reopen(tx, row, now)
    pause = (now - row["last_slice_at"]).total_seconds() if row["received"] else 0.0
    longest = max(row["longest_pause_s"], pause)  # over a close as well: then this sender pauses longer than was waited
    due = now + timedelta(seconds=settle_s)
    _COUNT_ONE.run(tx, series_id=series_id, n=row["received"] + 1, last=now, pause=longest, due=due)
    return Disposition.NEW, []


def known_files(tx: Connection, files: Collection[str]) -> set[str]:
    """Return those of some slices in the spool that have a row, or had one and are about to be unlinked."""
    named, leaving = schema.instances.c.file, upkeep_tables.removals.c.file
    return {*tx.scalars(select(named).where(named.in_(files))), *tx.scalars(select(leaving).where(leaving.in_(files)))}


def _series_row(tx: Connection, receipt: Receipt) -> dict[str, Any]:
    keys = {"study": receipt.study.study_instance_uid, "series": receipt.study.series_instance_uid}
    rows = _SERIES.mappings(tx, **keys)
    if not rows:
        _open_series(tx, receipt)
        rows = _SERIES.mappings(tx, **keys)
    return rows[0]


def _open_series(tx: Connection, receipt: Receipt) -> None:
    facts, now = receipt.study, receipt.received_at
    known = _STUDY.rows(tx, uid=facts.study_instance_uid)
    if known:
        study_id = known[0][0]
    else:
        said = {
            "study_instance_uid": facts.study_instance_uid, "patient_id": facts.patient_id,
            "patient_name": facts.patient_name, "patient_birth_date": facts.patient_birth_date,
            "patient_sex": facts.patient_sex, "accession_number": facts.accession_number,
            "study_date": facts.study_date, "study_time": facts.study_time, "description": facts.study_description,
            "referring_physician": facts.referring_physician, "station_name": facts.station_name,
            "institution": facts.institution,
        }  # fmt: skip
        study_id = new_key(
            tx, _NEW_STUDY, **_fitting(said), first_seen_at=now,
            ordered_at=now if is_ordered(tx, facts.study_instance_uid) else None,
        )  # fmt: skip
        note(tx, now, "study.opened", study_id, None)
        if asked := asked_urgently(tx, facts.study_instance_uid):
            hasten(tx, now, study_id, asked)
    first = receipt.slices[0] if receipt.slices else None
    series_id = new_key(
        tx, _NEW_SERIES, study_id=study_id, series_instance_uid=facts.series_instance_uid,
        state=SeriesState.RECEIVING, revision=1, received=0, conflicts=0, first_slice_at=now, last_slice_at=now,
        longest_pause_s=0.0, due_at=now, description=first.series_description if first else None,
    )  # fmt: skip
    note(tx, now, "series.opened", study_id, series_id)


def _is_waited_for(tx: Connection, now: datetime, study_id: int) -> None:
    """Of a study that an order brought a slice comes by itself: from now on somebody waits for it."""
    tx.execute(update(schema.studies).where(schema.studies.c.id == study_id).values(ordered_at=None))
    set_urgency(tx, study_id)
    note(tx, now, "study.awaited", study_id, None)


def _fitting(said: dict[str, str]) -> dict[str, str]:
    """Cut what is longer than its value representation allows, and than its column: PostgreSQL would refuse the row."""
    lengths = {name: getattr(schema.studies.c[name].type, "length", None) for name in said}
    return {name: text[: lengths[name]] for name, text in said.items()}


def _reopen(tx: Connection, row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Begin a new revision; of a purged series nothing is there any more, so it is counted anew."""
    revision = row["revision"] + 1
    anew: dict[str, Any] = {}
    if row["state"] == SeriesState.PURGED:
        anew = {"received": 0, "conflicts": 0, "longest_pause_s": 0.0}
        began = {"first_slice_at": now, "expected": None, "expected_at": None, "purged_at": None}
        tx.execute(update(_S).where(_S.c.id == row["id"]).values(**anew, **began))
    tx.execute(
        update(schema.series)
        .where(schema.series.c.id == row["id"])
        .values(
            state=advance(SERIES, row["state"], "slice"),
            revision=revision,
            closed_at=None,
            closed_because=None,
            missing=None,
            reason_code=None,
            reason=None,
        )
    )
    supersede_jobs(tx, row["id"])
    note(tx, now, "series.reopened", row["study_id"], row["id"], revision=revision)
    return {**row, **anew}


def supersede_jobs(tx: Connection, series_id: int, kind: str | None = None) -> None:
    """Take the unfinished jobs of a series out of the race; a running one finds that out when it finishes.

    Parameters
    ----------
    kind : str or None
        None: every kind.
    """
    chosen = [schema.jobs.c.series_id == series_id, schema.jobs.c.state.in_(sources(JOB, "supersede"))]
    if kind is not None:
        chosen.append(schema.jobs.c.kind == kind)
    tx.execute(
        update(schema.jobs).where(*chosen).values(state=target(JOB, "supersede"), lease_owner=None, lease_until=None)
    )
