"""Signing off: who read a study, when, and what the answer was then. A later answer that differs makes it unread."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, update

from ichnode.core.findings import Verdict
from ichnode.errors import PermanentError
from ichnode.worklist import schema
from ichnode.worklist.database import note
from ichnode.worklist.notices import is_read

_R, _S, _ST, _J = schema.results, schema.series, schema.studies, schema.journal
_CHANGES = ("result.retracted", "series.reopened", "series.outranked", "series.reconsidered")
PENDING = "pending"


def latest_result(tx: Connection, study_id: int) -> int | None:
    """Return the key of the newest result of a study, which a page keeps to tell `sign_off` what its reader saw."""
    latest: int | None = tx.scalar(select(func.max(_R.c.id)).join(_S).where(_S.c.study_id == study_id))
    return latest


def state_of(tx: Connection, study_id: int) -> str:
    """Return a word for what a page of a study shows of its answers; another one once that is out of date.

    It changes with a newer answer, with one that is taken back, and with slices that come after an answer.
    """
    of_study = _S.c.study_id == study_id
    retracted = tx.scalar(select(func.count()).select_from(_R.join(_S)).where(of_study, _R.c.retracted_at.is_not(None)))
    late = tx.scalar(select(func.sum(_S.c.revision - 1)).where(of_study))
    return f"{latest_result(tx, study_id) or 0}.{retracted or 0}.{int(late or 0)}"


def changed_since_answer(tx: Connection, study_id: int) -> bool:
    """Tell whether anything of what `state_of` counts happened after the newest answer of a study was given."""
    of_study = _J.c.study_id == study_id
    answered = select(func.max(_J.c.id)).where(of_study, _J.c.event == "result.made").scalar_subquery()
    later = select(_J.c.id).where(of_study, _J.c.event.in_(_CHANGES), _J.c.id > func.coalesce(answered, 0))
    return tx.scalar(later.limit(1)) is not None


def read_by(tx: Connection, study_id: int) -> str | None:
    """Return who has signed a study off; None where nobody has."""
    reader: str | None = tx.scalar(select(_ST.c.read_by).where(_ST.c.id == study_id))
    return reader


def sign_off(
    tx: Connection, now: datetime, reader: str, study_id: int, seen_result_id: int | None, state: str | None = None
) -> str:
    """Mark a study as read.

    Parameters
    ----------
    reader : str
        The account's name.
    seen_result_id : int or None
        `latest_result` when the reader's page was made.
    state : str or None
        `state_of` then; None where only the newest answer is known to have been seen, which is enough as long as
        nothing happened after it.

    Returns
    -------
    str
        Who has read it: the reader, or whoever signed before and still stands; then nothing has changed.

    Raises
    ------
    PermanentError
        ``NO_STUDY``, or ``NEWER_RESULT``: an answer came that the reader has not seen, or was taken back, or slices
        came after it.
    """
    row = tx.execute(select(_ST.c.read_by).where(_ST.c.id == study_id)).first()
    if row is None:
        raise PermanentError("There is no such study.", "NO_STUDY")
    if row.read_by is not None:
        return str(row.read_by)
    if latest_result(tx, study_id) != seen_result_id:
        raise PermanentError("A newer answer came meanwhile: look at it, then sign off.", "NEWER_RESULT")
    if state is None and changed_since_answer(tx, study_id):
        raise PermanentError(
            "An answer was taken back, or more slices came, after the newest answer: look at the study again, then "
            "sign off with its state.",
            "NEWER_RESULT",
        )
    if state is not None and state_of(tx, study_id) != state:
        raise PermanentError(
            "An answer was taken back meanwhile, or more slices came: look at the study again, then sign off.",
            "NEWER_RESULT",
        )
    verdict = verdict_of_study(tx, study_id)
    values = {"read_at": now, "read_by": reader, "read_verdict": verdict}
    if not tx.execute(update(_ST).where(_ST.c.id == study_id, _ST.c.read_at.is_(None)).values(values)).rowcount:
        return read_by(tx, study_id) or reader  # another was quicker
    is_read(tx, now, study_id)
    note(tx, now, "study.read", study_id, None, by=reader, verdict=verdict)
    return reader


def put_back(tx: Connection, now: datetime, reader: str, study_id: int) -> bool:
    """Make a study unread again because a person says so; False when it was not read."""
    return _unread(tx, now, study_id, by=reader)


def reopen(tx: Connection, now: datetime, study_id: int, verdict: Verdict, before: str | None = None) -> bool:
    """Make a study unread again when a new result, of `verdict`, says something else than what was read.

    An answer that says no more than that a series was not analysed changes nothing: other series of a study that was
    read get such answers all the time. It does where it takes the place of a call on the same series, `before`.
    """
    read = tx.scalar(select(_ST.c.read_verdict).where(_ST.c.id == study_id))
    if read is None or verdict == read:
        return False
    if verdict is Verdict.NOT_ANALYSED and before in (None, Verdict.NOT_ANALYSED):
        return False
    return _unread(tx, now, study_id, because=f"{read} became {verdict}")


def reopen_retracted(tx: Connection, now: datetime, study_id: int) -> bool:
    """Make a study unread again because an answer of it was taken back; False when it was not read."""
    return _unread(tx, now, study_id, because="an answer was taken back")


def verdict_of_study(tx: Connection, study_id: int) -> str:
    """Return the verdict of a study's current results that were not taken back; ``pending`` where there is none."""
    found = set(
        tx.scalars(
            select(_R.c.verdict)
            .join(_S)
            .where(_S.c.study_id == study_id, _R.c.superseded_at.is_(None), _R.c.retraction.is_(None))
        )
    )
    return next((v for v in (Verdict.POSITIVE, Verdict.NEGATIVE, Verdict.NOT_ANALYSED) if v in found), PENDING)


def _unread(tx: Connection, now: datetime, study_id: int, **detail: str) -> bool:
    changed = tx.execute(
        update(_ST)
        .where(_ST.c.id == study_id, _ST.c.read_at.is_not(None))
        .values(read_at=None, read_by=None, read_verdict=None)
    ).rowcount
    if changed:
        note(tx, now, "study.unread", study_id, None, **detail)
    return bool(changed)
