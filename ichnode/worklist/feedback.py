"""Teach: what readers say of results. Said anew it supersedes what the same reader said before; nothing is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ichnode.core.feedback import ContradictionError, Feedback, Label, Truth, truth
from ichnode.core.findings import CLASSES, Verdict
from ichnode.errors import PermanentError
from ichnode.worklist import schema
from ichnode.worklist.database import new_key, note
from ichnode.worklist.retractions import WRONG_PATIENT

_F, _L, _R, _S, _ST = schema.feedback, schema.feedback_labels, schema.results, schema.series, schema.studies

_STANDS = (_F.c.superseded_at.is_(None), _R.c.retracted_because.is_distinct_from(WRONG_PATIENT))


@dataclass(frozen=True, slots=True)
class Given:
    """Feedback as it is kept.

    Attributes
    ----------
    superseded_at : datetime or None
        When the reader said something else or took it back; None for what stands.
    """

    id: int
    result_id: int
    revision: int
    reader: str
    given_at: datetime
    superseded_at: datetime | None
    feedback: Feedback


@dataclass(frozen=True, slots=True)
class Taught:
    """What is known of a series by its readers: a label to learn from.

    Attributes
    ----------
    verdict : Verdict
        What the model had said.
    model_digest : str or None
    reader, given_at
        Whose word it is: of several readers the last.
    """

    study_id: int
    series_id: int
    result_id: int
    study_instance_uid: str
    series_instance_uid: str
    verdict: Verdict
    model_digest: str | None
    reader: str
    given_at: datetime
    truth: Truth


def give(tx: Connection, now: datetime, reader: str, result_id: int, said: Feedback) -> int:
    """Keep what a reader says of a result, in place of what the same reader said of it before; returns its key.

    Raises
    ------
    PermanentError
        ``NO_RESULT``: there is no such result. ``FEEDBACK``: it contradicts itself, or names a slice that is not of
        the result; the sentence is for the reader.
    """
    result = tx.execute(
        select(_R.c.id, _R.c.series_id, _S.c.study_id, _R.c.verdict, _R.c.outcome).join(_S).where(_R.c.id == result_id)
    ).first()
    if result is None:
        raise PermanentError("There is no such result.", "NO_RESULT")
    try:
        truth(Verdict(result.verdict), said)
    except ContradictionError as error:
        raise PermanentError(str(error), "FEEDBACK") from None
    called = _calls(result.outcome)
    if any(one.slice is not None and (one.name, one.slice) not in called for one in said.labels):
        raise PermanentError("A slice was judged that the model did not read.", "FEEDBACK")
    _supersede(tx, now, reader, result_id)
    key = new_key(tx, insert(_F).values(
        result_id=result_id, reader=reader, agrees=said.agrees, comment=said.comment, given_at=now,
    ))  # fmt: skip
    for one in said.labels:
        instance, frame = one.slice or (None, None)
        tx.execute(insert(_L).values(
            feedback_id=key, name=one.name, present=one.present, called=called.get((one.name, one.slice)),
            sop_instance_uid=instance, frame=frame,
        ))  # fmt: skip
    note(
        tx, now, "feedback.given", result.study_id, result.series_id, by=reader, result=result_id, agrees=said.agrees,
        labels=len(said.labels),
    )  # fmt: skip
    return key


def take_back(tx: Connection, now: datetime, reader: str, result_id: int) -> bool:
    """Take back what a reader said of a result; False when nothing of it stands."""
    place = tx.execute(select(_S.c.study_id, _S.c.id).join(_R).where(_R.c.id == result_id)).first()
    if place is None or not _supersede(tx, now, reader, result_id):
        return False
    note(tx, now, "feedback.taken_back", place.study_id, place.id, by=reader, result=result_id)
    return True


def of_study(tx: Connection, study_id: int) -> list[Given]:
    """Return all that was ever said of a study's results, the latest first; what stands has no `superseded_at`."""
    rows = tx.execute(
        select(_F, _R.c.revision)
        .select_from(_F.join(_R).join(_S))
        .where(_S.c.study_id == study_id)
        .order_by(_F.c.id.desc())
    ).all()
    return [_given(row, _labels(tx, row.id)) for row in rows]


def taught(tx: Connection) -> Iterator[Taught]:
    """Yield, of each series of which something stands, the last word and what follows from it, in order of series.

    Left out are results that were taken back because the images are another patient's, and what was said before more
    slices came: nobody of those readers has seen all that would be learned from (`outdated`).
    """
    rows = tx.execute(
        select(
            _F, _R.c.revision, _R.c.verdict, _R.c.model_digest, _R.c.series_id, _S.c.study_id,
            _S.c.series_instance_uid, _ST.c.study_instance_uid,
        )
        .select_from(_F.join(_R).join(_S).join(_ST))
        .where(*_STANDS, _R.c.revision == _S.c.revision)
        .order_by(_R.c.series_id, _F.c.id)
    ).all()  # fmt: skip
    for row in {row.series_id: row for row in rows}.values():
        verdict, said = Verdict(row.verdict), _given(row, _labels(tx, row.id)).feedback
        yield Taught(
            row.study_id, row.series_id, row.result_id, row.study_instance_uid, row.series_instance_uid, verdict,
            row.model_digest, row.reader, row.given_at, truth(verdict, said),
        )  # fmt: skip


def outdated(tx: Connection) -> set[int]:
    """Return the series of which something stands, but nothing that was said of their current slices."""
    rows = tx.execute(
        select(_S.c.id, _R.c.revision == _S.c.revision).select_from(_F.join(_R).join(_S)).where(*_STANDS)
    ).all()
    return {key for key, _ in rows} - {key for key, current in rows if current}


def _supersede(tx: Connection, now: datetime, reader: str, result_id: int) -> bool:
    changed = tx.execute(
        update(_F)
        .where(_F.c.result_id == result_id, _F.c.reader == reader, _F.c.superseded_at.is_(None))
        .values(superseded_at=now)
    ).rowcount
    return bool(changed)


def _calls(outcome: dict[str, Any]) -> dict[tuple[str, tuple[str, int] | None], bool]:
    """Return what the model said of each class, for the scan (None) and for each slice."""
    called: dict[tuple[str, tuple[str, int] | None], bool] = {}
    for column, finding in enumerate(outcome["findings"]):
        called[CLASSES[column], None] = finding["score"] >= finding["threshold"]
        for (instance, frame), scores in zip(outcome["order"], outcome["scores"], strict=True):
            called[CLASSES[column], (instance, frame)] = scores[column] >= finding["threshold"]
    return called


def _labels(tx: Connection, feedback_id: int) -> tuple[Label, ...]:
    rows = tx.execute(
        select(_L.c.name, _L.c.present, _L.c.sop_instance_uid, _L.c.frame)
        .where(_L.c.feedback_id == feedback_id)
        .order_by(_L.c.id)
    )
    return tuple(
        Label(row.name, row.present, None if row.sop_instance_uid is None else (row.sop_instance_uid, row.frame))
        for row in rows
    )


def _given(row: Any, labels: tuple[Label, ...]) -> Given:
    said = Feedback(row.agrees, labels, row.comment)
    return Given(row.id, row.result_id, row.revision, row.reader, row.given_at, row.superseded_at, said)
