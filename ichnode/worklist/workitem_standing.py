"""What became of the input of a work item, from the rows: fetched, analysed, delivered; nothing is kept twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, func, select

from ichnode.core.findings import Warned
from ichnode.core.lifecycle import DeliveryState, JobState, RetrievalState, SeriesState
from ichnode.core.reasons import NOT_TO_BE_READ, because
from ichnode.core.workitem import Input, Output, Standing
from ichnode.worklist import retrievals, schema

_J, _P, _D = schema.jobs, schema.reports, schema.deliveries
_S, _ST, _R = schema.series, schema.studies, schema.results
_AT_WORK = (JobState.QUEUED, JobState.RUNNING)
_ON_ITS_WAY = (DeliveryState.PENDING, DeliveryState.SENDING)
_TAKEN = (DeliveryState.DELIVERED, DeliveryState.AWAITING, DeliveryState.COMMITTED)


def stands(tx: Connection, inputs: list[Input], destinations: Collection[str]) -> Standing:
    """Return how far the node is with some series.

    The answer is that of the whole study: the node reads the reconstruction that suits best, whichever of a study's
    series an item names.

    Parameters
    ----------
    destinations : collection of str
        Names of those where output can be had now; one may have been removed since.
    """
    awaited, missing = 0, []
    for one in inputs:
        fetch = retrievals.of_series(tx, one.study_instance_uid, one.series_instance_uid)
        if fetch is not None and fetch.state in (RetrievalState.PENDING, RetrievalState.FETCHING):
            awaited += 1
            continue
        here = retrievals.here(tx, one.study_instance_uid, one.series_instance_uid)
        if not here.has_all(one.images) and here.reason_code not in NOT_TO_BE_READ:
            code = "ARCHIVE_GAVE_LESS" if here.instances else "ARCHIVE_GAVE_NONE"
            missing.append(_not_fetched(one, code, None if fetch is None else fetch.error))
    studies = {one.study_instance_uid for one in inputs}
    series = list(tx.scalars(select(_S.c.id).join(_ST).where(_ST.c.study_instance_uid.in_(studies))))
    results = tx.execute(
        select(_R.c.id, _R.c.verdict, _R.c.outcome)
        .where(_R.c.series_id.in_(series), _R.c.superseded_at.is_(None), _R.c.retraction.is_(None))
        .order_by(_R.c.id)
    ).all()
    answers = [row.id for row in results]
    return Standing(
        series=len(inputs),
        awaited=awaited,
        not_fetched=tuple(missing),
        unanswered=_is_unanswered(tx, series),
        unsent=_unsent(tx, answers),
        analysed=any(row.verdict in ("positive", "negative") for row in results),
        reasons=tuple(_reasons(row.outcome for row in results)),
        outputs=tuple(one for one in _outputs(tx, answers) if one.destination in destinations),
    )


def _is_unanswered(tx: Connection, series: list[int]) -> bool:
    arriving = select(_S.c.id).where(_S.c.id.in_(series), _S.c.state == SeriesState.RECEIVING)
    at_work = select(_J.c.id).where(_J.c.series_id.in_(series), _J.c.state.in_(_AT_WORK))
    return any(tx.scalar(found.limit(1)) is not None for found in (arriving, at_work))


def _unsent(tx: Connection, results: list[int]) -> int:
    found = select(func.count(_D.c.id)).join(_P, _P.c.id == _D.c.report_id)
    return tx.scalar(found.where(_P.c.result_id.in_(results), _D.c.state.in_(_ON_ITS_WAY))) or 0


def _outputs(tx: Connection, results: list[int]) -> Iterable[Output]:
    found = (
        select(
            _P.c.study_instance_uid, _P.c.series_instance_uid, _P.c.sop_class_uid, _P.c.sop_instance_uid,
            _D.c.destination,
        )
        .join(_D, _D.c.report_id == _P.c.id)
        .where(_P.c.result_id.in_(results), _D.c.state.in_(_TAKEN))
        .order_by(_P.c.id, _D.c.destination)
    )  # fmt: skip
    return (Output(*row) for row in tx.execute(found))


def _reasons(outcomes: Iterable[dict[str, dict[str, str]] | None]) -> Iterable[Warned]:
    """Yield why series were not analysed; that another one was chosen comes last, being no reason of the study."""
    said = [outcome["reason"] for outcome in outcomes if outcome and outcome.get("reason")]
    said.sort(key=lambda reason: reason["code"] == "ANOTHER_SERIES_CHOSEN")
    return (Warned(reason["code"], reason["sentence"]) for reason in said)


def _not_fetched(one: Input, code: str, error: str | None) -> Warned:
    reason = because(code) if error is None else Warned(code, error)
    if not one.places:
        return reason
    said = f"{reason.sentence.rstrip('.')}; the work item says that it is at {' or '.join(one.places)}."
    return Warned(reason.code, said)
