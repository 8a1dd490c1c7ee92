"""Recording that slices have arrived: new, duplicate or conflict; in a transaction, before they are acknowledged.

Those that come at the same moment share one, and its statements: each statement has a price of its own, not least that
the interpreter goes to another thread meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BindParameter, Connection, Update, case, delete, insert, select, update

from ichnode.core.lifecycle import SeriesState
from ichnode.core.slices import Slice, StudyFacts
from ichnode.core.urgency import Said
from ichnode.worklist import schema, upkeep_tables
from ichnode.worklist.database import note
from ichnode.worklist.hot import HotIn, HotRows
from ichnode.worklist.opening import let_in, open_series, reopen


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
_COUNTED = _S.c.received, _S.c.last_slice_at, _S.c.longest_pause_s, _S.c.due_at
_KNOWN = HotIn(
    lambda uids: select(_I.c.sop_instance_uid, _I.c.digest, _I.c.file).where(_I.c.sop_instance_uid.in_(uids)), "uid"
)
_SERIES = HotIn(
    lambda studies, series: (
        select(
            schema.studies.c.study_instance_uid, _S.c.series_instance_uid, _S.c.id, _S.c.study_id, _S.c.state,
            _S.c.revision, _S.c.received, _S.c.conflicts, _S.c.last_slice_at, _S.c.longest_pause_s,
            schema.studies.c.ordered_at, schema.studies.c.urgent_because,
        )
        .join(schema.studies)
        .where(schema.studies.c.study_instance_uid.in_(studies), _S.c.series_instance_uid.in_(series))
    ),
    "study", "series",
)  # fmt: skip
_KEEP = HotIn(lambda files: delete(upkeep_tables.removals).where(upkeep_tables.removals.c.file.in_(files)), "file")
_INSTANCE = HotRows(lambda rows: insert(_I).values(rows), [column for column in _I.c if column.name != "id"])


def _counting(rows: list[dict[str, BindParameter[Any]]]) -> Update:
    """Return the statement that writes what has changed in some series, one a row."""
    statement = update(_S).where(_S.c.id.in_([row["id"] for row in rows]))
    if len(rows) == 1:
        return statement.values({column: rows[0][column.name] for column in _COUNTED})
    given = [(_S.c.id == row["id"], row) for row in rows]
    return statement.values({column: case(*((of, row[column.name]) for of, row in given)) for column in _COUNTED})


_COUNT = HotRows(_counting, (_S.c.id, *_COUNTED))


def record_receipts(
    tx: Connection, receipts: Sequence[Receipt], settle_s: float, *, keep_conflict: bool
) -> list[tuple[Disposition, list[str]]]:
    """Write the rows of some slices; a late slice reopens its series as a new revision.

    Parameters
    ----------
    settle_s : float
        Seconds after which assembly should look at a series.
    keep_conflict : bool
        Whether other content under a known SOP Instance UID is kept (and flagged). False writes nothing of it then, so
        that the caller can compare the contents first.

    Returns
    -------
    list of (Disposition, list of str)
        For each receipt. The second are the spool files that hold the same: this very content in case of a duplicate,
        the same SOP Instance UID in case of a conflict.
    """
    known = _known(tx, receipts)
    series = _known_series(tx, receipts)
    found: list[tuple[Disposition, list[str]]] = []
    kept: list[dict[str, Any]] = []
    counted: dict[int, dict[str, Any]] = {}
    for receipt in receipts:
        there = known[receipt.sop_instance_uid]
        same = [file for digest, file in there if digest == receipt.digest]
        others = [file for _, file in there]
        if same or (others and not keep_conflict):
            found.append((Disposition.DUPLICATE, same) if same else (Disposition.CONFLICT, others))
            continue
        row = series.get(_place(receipt)) or series.setdefault(_place(receipt), _opened(tx, receipt))
        of_study = [other for other in series.values() if other["study_id"] == row["study_id"]]
        let_in(tx, receipt.received_at, of_study, receipt.urgent)
        if others:
            _flag(tx, receipt, row)
        else:
            counted[row["id"]] = _count(tx, receipt, row, settle_s)
        kept.append(_instance(receipt, row["id"], conflict=bool(others)))
        found.append((Disposition.CONFLICT if others else Disposition.NEW, others))
        there.append((receipt.digest, receipt.file))
    if kept:
        # One may be the file of a purged series that is about to be unlinked: whoever takes this row away first has it.
        _KEEP.run(tx, [instance["file"] for instance in kept])
        _INSTANCE.run(tx, kept)
        _COUNT.run(tx, list(counted.values()))
    return found


def record_receipt(
    tx: Connection, receipt: Receipt, settle_s: float, *, keep_conflict: bool
) -> tuple[Disposition, list[str]]:
    """Write the row of one slice, as `record_receipts` does."""
    return record_receipts(tx, [receipt], settle_s, keep_conflict=keep_conflict)[0]


def known_files(tx: Connection, files: Collection[str]) -> set[str]:
    """Return those of some slices in the spool that have a row, or had one and are about to be unlinked."""
    named, leaving = schema.instances.c.file, upkeep_tables.removals.c.file
    return {*tx.scalars(select(named).where(named.in_(files))), *tx.scalars(select(leaving).where(leaving.in_(files)))}


def _known(tx: Connection, receipts: Sequence[Receipt]) -> dict[str, list[tuple[str, str]]]:
    """Return digest and file of what is there already, by SOP Instance UID."""
    known: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for uid, digest, file in _KNOWN.rows(tx, [receipt.sop_instance_uid for receipt in receipts]):
        known[uid].append((digest, file))
    return known


def _known_series(tx: Connection, receipts: Collection[Receipt]) -> dict[tuple[str, str], dict[str, Any]]:
    studies, series = zip(*dict.fromkeys(map(_place, receipts)), strict=True)
    rows = _SERIES.mappings(tx, studies, series)
    return {(row["study_instance_uid"], row["series_instance_uid"]): row for row in rows}


def _opened(tx: Connection, receipt: Receipt) -> dict[str, Any]:
    description = receipt.slices[0].series_description if receipt.slices else None
    open_series(tx, receipt.received_at, receipt.study, description)
    return _known_series(tx, [receipt])[_place(receipt)]


def _place(receipt: Receipt) -> tuple[str, str]:
    return receipt.study.study_instance_uid, receipt.study.series_instance_uid


def _instance(receipt: Receipt, series_id: int, *, conflict: bool) -> dict[str, Any]:
    return {
        "series_id": series_id, "sop_instance_uid": receipt.sop_instance_uid, "sop_class_uid": receipt.sop_class_uid,
        "transfer_syntax_uid": receipt.transfer_syntax_uid, "digest": receipt.digest, "size": receipt.size,
        "file": receipt.file, "slices": [s.as_json() for s in receipt.slices], "conflict": conflict,
        "received_at": receipt.received_at, "association_id": receipt.association_id,
    }  # fmt: skip


def _flag(tx: Connection, receipt: Receipt, row: dict[str, Any]) -> None:
    row["conflicts"] += 1
    tx.execute(update(_S).where(_S.c.id == row["id"]).values(conflicts=row["conflicts"]))
    note(tx, receipt.received_at, "slice.conflict", row["study_id"], row["id"], digest=receipt.digest)


def _count(tx: Connection, receipt: Receipt, row: dict[str, Any], settle_s: float) -> dict[str, Any]:
    """Count a slice in its series, reopened where it is closed; return the values to be written."""
    now = receipt.received_at
    if row["state"] != SeriesState.RECEIVING:
        reopen(tx, row, now)
    pause = (now - row["last_slice_at"]).total_seconds() if row["received"] else 0.0
    row["received"] += 1
    row["last_slice_at"] = now
    # Over a close as well: then this sender pauses longer than was waited.
    row["longest_pause_s"] = max(row["longest_pause_s"], pause)
    return {**row, "due_at": now + timedelta(seconds=settle_s)}
