"""How the node is: what waits for whom, who sends, what is queued, how answers come, what scanners give."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from ichnode.core.control import REFERENCE
from ichnode.core.lifecycle import DeliveryState, JobState
from ichnode.worklist import deliveries, schema
from ichnode.worklist.pauses import pause_of
from ichnode.worklist.standing_table import standings

_A, _B, _J, _D, _R, _S, _ST, _W = (
    schema.associations, schema.boots, schema.jobs, schema.deliveries, schema.results, schema.series, schema.studies,
    standings,
)  # fmt: skip
LATEST_ANSWERS = 60


def outlet(tx: Connection, now: datetime, name: str) -> dict[str, Any]:
    """Return how a destination or channel is: backlog, oldest, failures, circuit, pause, last success."""
    waiting, oldest = deliveries.backlog(tx, name)
    circuit = deliveries.circuit(tx, name)
    paused = pause_of(tx, name)
    counted = tx.execute(
        select(
            func.sum(case((_D.c.state == DeliveryState.FAILED, 1), else_=0)),
            func.sum(case((_D.c.delivered_at > now - timedelta(days=1), 1), else_=0)),
        ).where(_D.c.destination == name)
    ).one()
    return {
        "name": name,
        "waiting": waiting,
        "oldest_at": oldest,
        "failed": int(counted[0] or 0),
        "delivered_last_day": int(counted[1] or 0),
        "last_success_at": circuit.last_success_at,
        "failures": circuit.failures,
        "open_until": circuit.open_until,
        "last_error": circuit.last_error,
        "paused_at": paused.paused_at if paused else None,
        "paused_by": paused.paused_by if paused else None,
    }


def senders(tx: Connection, now: datetime, days: int = 7) -> list[dict[str, Any]]:
    """Return who has sent in the last days: AE title, address, associations, how many were not released, the last."""
    lost = case((and_(_A.c.ending.is_not(None), _A.c.ending != "released"), 1), else_=0)
    is_open = case((_A.c.ended_at.is_(None), 1), else_=0)
    rows = tx.execute(
        select(
            _A.c.calling_aet, _A.c.address, func.count().label("associations"), func.sum(lost).label("broken"),
            func.sum(is_open).label("open"), func.max(_A.c.opened_at, type_=_A.c.opened_at.type).label("last_at"),
        )
        .where(_A.c.opened_at > now - timedelta(days=days))
        .group_by(_A.c.calling_aet, _A.c.address)
        .order_by(func.max(_A.c.opened_at).desc())
        .limit(50)
    ).mappings()  # fmt: skip
    return [dict(row) for row in rows]


def queue(tx: Connection) -> dict[str, Any]:
    """Return how many analyses are in each state, and since when the oldest waits or runs."""
    rows = tx.execute(
        select(_J.c.state, func.count(), func.min(_J.c.queued_at, type_=_J.c.queued_at.type))
        .where(_J.c.kind == "analyse", _J.c.state.in_((JobState.QUEUED, JobState.RUNNING, JobState.FAILED)))
        .group_by(_J.c.state)
    ).all()
    found = {row[0]: row for row in rows}
    receiving = tx.scalar(select(func.count()).where(_S.c.state == "receiving")) or 0
    oldest = found[JobState.QUEUED][2] if JobState.QUEUED in found else None
    numbers = {str(state): found[state][1] if state in found else 0 for state in ("queued", "running", "failed")}
    return {"receiving": receiving, **numbers, "oldest_at": oldest}


def boot(tx: Connection, boot_id: str) -> dict[str, Any] | None:
    """Return this start of the node, with the state of its worker."""
    row = tx.execute(select(_B).where(_B.c.id == boot_id)).mappings().first()
    return dict(row) if row else None


def turnaround(tx: Connection, now: datetime) -> dict[str, Any]:
    """Return how many studies were answered in the last day, and the seconds from last slice to answer."""
    rows = tx.execute(
        select(_W.c.verdict, _W.c.arrived_at, _W.c.answered_at)
        .where(_W.c.answered_at > now - timedelta(days=1))
        .order_by(_W.c.answered_at.desc())
        .limit(5000)
    ).all()
    # Where slices came after the answer nobody knows how long it took.
    seconds = sorted(
        (row.answered_at - row.arrived_at).total_seconds() for row in rows if row.answered_at >= row.arrived_at
    )
    verdicts = [row.verdict for row in rows]
    return {
        "answered": len(rows),
        **{name: verdicts.count(name) for name in ("positive", "negative", "not_analysed")},
        "median_s": _quantile(seconds, 0.5),
        "p95_s": _quantile(seconds, 0.95),
    }


def by_scanner(tx: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return, for each station, what was measured of its first series (the reference) and its latest, oldest first.

    The first ones are those of each model, whose digest stands with them: the scores of two models are not compared.
    It reads every answer there is: for a page that renews itself keep what it returns for a while.
    """
    own, order = _ST.c.station_name, _R.c.id
    numbered = (
        select(
            order, own,
            func.row_number().over(partition_by=(own, _R.c.model_digest), order_by=order).label("first"),
            func.row_number().over(partition_by=own, order_by=order.desc()).label("last"),
        )
        .select_from(_R.join(_S).join(_ST))
        .where(_R.c.any_score.is_not(None), _R.c.superseded_at.is_(None))
        .subquery()
    )  # fmt: skip
    rows = tx.execute(
        select(
            numbered.c.station_name,
            _R.c.any_score,
            _R.c.model_digest,
            _R.c.outcome["measures"].label("measures"),
            _R.c.created_at,
        )
        .join(numbered, numbered.c.id == order)
        .where(or_(numbered.c.first <= REFERENCE, numbered.c.last <= LATEST_ANSWERS))
        .order_by(order)
    ).all()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        measures = row.measures if isinstance(row.measures, dict) else {}
        found.setdefault(row.station_name or "unnamed", []).append(
            {"score": row.any_score, **measures, "model": row.model_digest, "at": row.created_at}
        )
    return found


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
