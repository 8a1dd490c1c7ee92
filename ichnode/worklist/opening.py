"""What a slice does to study and series beside being counted: they are opened, opened again, waited for, hastened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from ichnode.core.lifecycle import JOB, SERIES, SeriesState, advance, sources, target
from ichnode.core.slices import StudyFacts
from ichnode.core.urgency import Said
from ichnode.worklist import schema
from ichnode.worklist.database import new_key, note
from ichnode.worklist.hot import Hot
from ichnode.worklist.retrievals import is_ordered
from ichnode.worklist.urgency import asked_urgently, hasten, set_urgency

_S = schema.series
_STUDY = Hot(select(schema.studies.c.id).where(schema.studies.c.study_instance_uid == bindparam("uid")))
_NEW_STUDY, _NEW_SERIES = insert(schema.studies), insert(_S)


def open_series(tx: Connection, now: datetime, facts: StudyFacts, description: str | None) -> None:
    """Write the row of a series, and of its study where that is new."""
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
    series_id = new_key(
        tx, _NEW_SERIES, study_id=study_id, series_instance_uid=facts.series_instance_uid,
        state=SeriesState.RECEIVING, revision=1, received=0, conflicts=0, first_slice_at=now, last_slice_at=now,
        longest_pause_s=0.0, due_at=now, description=description,
    )  # fmt: skip
    note(tx, now, "series.opened", study_id, series_id)


def let_in(tx: Connection, now: datetime, rows: Sequence[dict[str, Any]], urgent: Said | None) -> None:
    """Note what a slice that came means for the urgency of its study.

    Parameters
    ----------
    rows : sequence of dict
        All series of its study that are at hand, with the study; brought up to date.
    urgent : Said or None
        Why the slice is urgent.
    """
    study_id, ordered_at, because = (rows[0][name] for name in ("study_id", "ordered_at", "urgent_because"))
    if ordered_at is not None and not is_ordered(tx, rows[0]["study_instance_uid"]):
        _is_waited_for(tx, now, study_id)
        ordered_at = None
    # Of a prior it was urgent years ago.
    if urgent and because is None and ordered_at is None:
        hasten(tx, now, study_id, urgent)
        because = urgent.because
    for row in rows:
        row.update(ordered_at=ordered_at, urgent_because=because)


def _is_waited_for(tx: Connection, now: datetime, study_id: int) -> None:
    """Of a study that an order brought a slice comes by itself: from now on somebody waits for it."""
    tx.execute(update(schema.studies).where(schema.studies.c.id == study_id).values(ordered_at=None))
    set_urgency(tx, study_id)
    note(tx, now, "study.awaited", study_id, None)


def _fitting(said: dict[str, str]) -> dict[str, str]:
    """Cut what is longer than its value representation allows, and than its column: PostgreSQL would refuse the row."""
    lengths = {name: getattr(schema.studies.c[name].type, "length", None) for name in said}
    return {name: text[: lengths[name]] for name, text in said.items()}


def reopen(tx: Connection, row: dict[str, Any], now: datetime) -> None:
    """Begin a new revision; of a purged series nothing is there any more, so it is counted anew.

    Parameters
    ----------
    row : dict
        Of the series; brought up to date.
    """
    revision, state = row["revision"] + 1, advance(SERIES, row["state"], "slice")
    anew: dict[str, Any] = {}
    if row["state"] == SeriesState.PURGED:
        anew = {"received": 0, "conflicts": 0, "longest_pause_s": 0.0}
        began = {"first_slice_at": now, "expected": None, "expected_at": None, "purged_at": None}
        tx.execute(update(_S).where(_S.c.id == row["id"]).values(**anew, **began))
    tx.execute(
        update(schema.series)
        .where(schema.series.c.id == row["id"])
        .values(
            state=state,
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
    row.update(anew, state=state, revision=revision)


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
