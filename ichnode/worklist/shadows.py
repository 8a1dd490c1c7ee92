"""What the shadow says of a series beside the active model. Rows of its own: nothing that is sent refers to them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, select, update

from ichnode.core.findings import CLASSES, Outcome, Verdict
from ichnode.core.lifecycle import SeriesState
from ichnode.worklist import model_tables, schema
from ichnode.worklist.assembly import Filed, filed_slices
from ichnode.worklist.database import new_key, note

_W, _R, _S = model_tables.shadow_results, schema.results, schema.series
_RUNNING, _DONE, _FAILED = "running", "done", "failed"


@dataclass(frozen=True, slots=True)
class Task:
    """A series that the active model has answered, for the shadow to read."""

    id: int
    study_id: int
    series_id: int
    filed: tuple[Filed, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two models say the same of the same series.

    A series counts once, however often it was read again because slices came later or somebody asked: by the last
    answer beside which the shadow was read.

    Attributes
    ----------
    series : int
        Series that both have read.
    same : int
        Series with the same verdict.
    only_active, only_shadow : tuple of int
        Numbers of the studies that only one of them calls positive, each once.
    classes : dict of class to (both, only the active one, only the shadow, neither)
    failed : int
        Series that the shadow could not read, the last time it tried.
    """

    series: int
    same: int
    only_active: tuple[int, ...]
    only_shadow: tuple[int, ...]
    classes: dict[str, tuple[int, int, int, int]]
    failed: int


def claim(tx: Connection, now: datetime, digest: str, since: datetime) -> Task | None:
    """Take the oldest current answer since `since` that the shadow has not looked at, and whose slices are still those.

    The attempt is written down here: a series that ends the shadow's process is not tried again.
    """
    row = tx.execute(
        select(_R.c.id, _R.c.series_id, _S.c.study_id)
        .join(_S, _S.c.id == _R.c.series_id)
        .where(
            _R.c.superseded_at.is_(None),
            _R.c.verdict.in_((Verdict.POSITIVE, Verdict.NEGATIVE)),
            _R.c.created_at >= since,
            _R.c.revision == _S.c.revision,
            _S.c.state != SeriesState.PURGED,
            ~exists().where(_W.c.result_id == _R.c.id, _W.c.model_digest == digest),
        )
        .order_by(_R.c.id)
        .limit(1)
    ).first()
    if row is None:
        return None
    key = new_key(tx, insert(_W).values(model_digest=digest, result_id=row.id, state=_RUNNING, began_at=now))
    note(tx, now, "shadow.claimed", row.study_id, row.series_id, model=digest[:12])
    return Task(key, row.study_id, row.series_id, tuple(filed_slices(tx, row.series_id)))


def finish(tx: Connection, now: datetime, task: Task, outcome: Outcome, seconds: dict[str, float]) -> None:
    """Keep what the shadow says."""
    facts = asdict(outcome)
    facts["scores"] = [[round(float(score), 5) for score in row] for row in outcome.scores]
    facts["verdict"] = str(outcome.verdict)
    tx.execute(
        update(_W)
        .where(_W.c.id == task.id)
        .values(
            state=_DONE, verdict=outcome.verdict, any_score=outcome.any_score, outcome=facts, seconds=seconds,
            ended_at=now,
        )
    )  # fmt: skip
    note(tx, now, "shadow.read", task.study_id, task.series_id)


def fail(tx: Connection, now: datetime, task: Task, error: str) -> None:
    """Keep why the shadow could not read a series."""
    tx.execute(update(_W).where(_W.c.id == task.id).values(state=_FAILED, error=error, ended_at=now))
    note(tx, now, "shadow.failed", task.study_id, task.series_id)


def give_up_unfinished(tx: Connection, now: datetime) -> int:
    """Mark what a shadow had in hand when its process ended as failed; returns how many."""
    error = "the process ended in the middle of this series"
    changed = tx.execute(
        update(_W).where(_W.c.state == _RUNNING).values(state=_FAILED, error=error, ended_at=now)
    ).rowcount
    if changed:
        note(tx, now, "shadow.given_up", None, None, series=changed)
    return changed


def agreement(tx: Connection, digest: str) -> Agreement:
    """Compare what this model said as a shadow with the answers beside which it stood."""
    tried = tx.execute(
        select(
            _S.c.study_id, _R.c.series_id, _R.c.verdict, _R.c.outcome, _W.c.state, _W.c.verdict.label("said"),
            _W.c.outcome.label("shadow"),
        )
        .select_from(_W.join(_R, _R.c.id == _W.c.result_id).join(_S, _S.c.id == _R.c.series_id))
        .where(_W.c.model_digest == digest, _W.c.state.in_((_DONE, _FAILED)))
        .order_by(_R.c.id)
    ).all()  # fmt: skip
    last = {row.series_id: row for row in tried}.values()
    rows = [row for row in last if row.state == _DONE]
    differing = [row for row in rows if row.verdict != row.said]
    pairs: dict[str, Counter[tuple[bool, bool]]] = {name: Counter() for name in CLASSES}
    for row in rows:
        active, beside = _present(row.outcome), _present(row.shadow)
        for name in pairs.keys() & active.keys() & beside.keys():
            pairs[name][active[name], beside[name]] += 1
    return Agreement(
        series=len(rows),
        same=len(rows) - len(differing),
        only_active=tuple(dict.fromkeys(row.study_id for row in differing if row.verdict == Verdict.POSITIVE)),
        only_shadow=tuple(dict.fromkeys(row.study_id for row in differing if row.said == Verdict.POSITIVE)),
        classes={
            name: (seen[True, True], seen[True, False], seen[False, True], seen[False, False])
            for name, seen in pairs.items()
        },
        failed=len(last) - len(rows),
    )


def _present(outcome: dict[str, Any]) -> dict[str, bool]:
    return {finding["name"]: finding["score"] >= finding["threshold"] for finding in outcome["findings"]}
