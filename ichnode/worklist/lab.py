"""What the lab needs of the worklist: series with an answer, whose they are, and which patients are for testing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from ichnode.core.findings import Verdict
from ichnode.core.lifecycle import SeriesState
from ichnode.worklist import model_tables, schema
from ichnode.worklist.assembly import Filed, filed_slices
from ichnode.worklist.database import note

_P, _R, _S, _ST = model_tables.lab_patients, schema.results, schema.series, schema.studies


@dataclass(frozen=True, slots=True)
class Answered:
    """A series with a current answer of a model, and where its slices lie.

    Attributes
    ----------
    patient_id : str
        For telling patients apart; never to be written anywhere.
    order : tuple of (SOP Instance UID, frame)
        The slices that were read, from the lowest up.
    """

    study_id: int
    series_id: int
    study_instance_uid: str
    patient_id: str
    order: tuple[tuple[str, int], ...]
    filed: tuple[Filed, ...]


def answered(tx: Connection, series_ids: Iterable[int]) -> list[Answered]:
    """Return those of the series whose current answer is of their current slices, here still, and a model's."""
    rows = tx.execute(
        select(_S.c.study_id, _S.c.id, _ST.c.study_instance_uid, _ST.c.patient_id, _R.c.outcome)
        .select_from(_S.join(_ST).join(_R, _R.c.series_id == _S.c.id))
        .where(
            _S.c.id.in_(list(series_ids)),
            _R.c.superseded_at.is_(None),
            _R.c.retraction.is_(None),
            _R.c.revision == _S.c.revision,
            _R.c.verdict.in_((Verdict.POSITIVE, Verdict.NEGATIVE)),
            _S.c.state != SeriesState.PURGED,
        )
        .order_by(_S.c.id)
    ).all()
    return [
        Answered(
            row.study_id, row.id, row.study_instance_uid, row.patient_id,
            tuple((uid, frame) for uid, frame in row.outcome["order"]), tuple(filed_slices(tx, row.id)),
        )
        for row in rows
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """A study that an accession number or a UID names.

    Attributes
    ----------
    patient : str
        For telling patients apart; never to be written anywhere.
    series_id : int or None
        The series that was read of it.
    study_instance_uid, series_instance_uid : str
        Of the study and of that series; never to be written anywhere as they are.
    """

    study_id: int
    patient: str
    series_id: int | None
    study_instance_uid: str
    series_instance_uid: str


def named(tx: Connection, *, accession: str = "", study_instance_uid: str = "") -> list[Named]:
    """Return the studies with this accession number or UID; two hospitals may have given one number to two patients."""
    wanted = (
        _ST.c.study_instance_uid == study_instance_uid if study_instance_uid else _ST.c.accession_number == accession
    )
    if not (accession or study_instance_uid):
        return []
    rows = tx.execute(
        select(
            _ST.c.id, _ST.c.patient_id, _ST.c.study_instance_uid, _ST.c.chosen_series_id, _S.c.series_instance_uid,
        )
        .select_from(_ST.outerjoin(_S, _S.c.id == _ST.c.chosen_series_id))
        .where(wanted)
        .order_by(_ST.c.id)
    )  # fmt: skip
    return [
        Named(
            row.id, row.patient_id or row.study_instance_uid, row.chosen_series_id, row.study_instance_uid,
            row.series_instance_uid or "",
        )
        for row in rows
    ]  # fmt: skip


def patients_of(tx: Connection, study_ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return Patient ID and Study Instance UID of studies, for telling patients apart; never to be written anywhere."""
    rows = tx.execute(
        select(_ST.c.id, _ST.c.patient_id, _ST.c.study_instance_uid).where(_ST.c.id.in_(list(set(study_ids))))
    )
    return {row.id: (row.patient_id, row.study_instance_uid) for row in rows}


def parts(tx: Connection) -> dict[str, str]:
    """Return the part of every patient that has one."""
    return {patient: part for patient, part in tx.execute(select(_P.c.patient, _P.c.part))}  # noqa: C416


def keep_parts(tx: Connection, now: datetime, new: Mapping[str, str]) -> None:
    """Give patients their part, for ever."""
    if not new:
        return
    tx.execute(insert(_P), [{"patient": patient, "part": part, "joined_at": now} for patient, part in new.items()])
    note(tx, now, "lab.patients_joined", None, None, patients=len(new), test=sum(p == "test" for p in new.values()))


def note_run(tx: Connection, now: datetime, event: str, run: str, **detail: object) -> None:
    """Write down what became of a run of the lab."""
    note(tx, now, f"retrain.{event}", None, None, run=run, **detail)
