"""What should have come and did not, what is fetched, who is overdue or silent: as plain values and in sentences."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ichnode.source_section import SourceSection
from ichnode.steps.node import FETCHING, LOOKING, Node
from ichnode.steps.order import held
from ichnode.worklist import alarms, deliveries, orders, retrievals

MOST_NAMED = 20
_UIDS = ("study_instance_uid", "series_instance_uid")
_NOT_FETCHED = (*_UIDS, "said", "gave", "attempts", "error")


def where_of(source: SourceSection) -> str:
    """Return where the source is, for people."""
    return source.url or f"{source.aet} at {source.host}:{source.port}"


def how_of(source: SourceSection) -> str:
    """Return by what it is asked."""
    return "QIDO-RS" if source.url else "C-FIND"


def pull_facts(node: Node, uids: bool) -> dict[str, Any]:
    """Return what is known of looks, retrievals, orders and alarms.

    Parameters
    ----------
    uids : bool
        Whether what was not fetched is named; its UIDs are empty otherwise.
    """
    with node.worklist.read() as tx:
        late = alarms.raised(tx, alarms.NO_RESULT)
        silent = alarms.raised(tx, alarms.SILENT_SENDER)
        counts = retrievals.counts(tx)
        given_up = retrievals.given_up(tx, MOST_NAMED)
        circuits = {name: asdict(deliveries.circuit(tx, of)) for name, of in (("look", LOOKING), ("fetch", FETCHING))}
        latest = [(order, orders.progress(tx, order.id)) for order in orders.latest(tx, 5)]
    placed = [{**asdict(order), **asdict(so_far), "held": held(node, order)} for order, so_far in latest]
    return {
        "retrieve": node.settings.source.retrieve,
        "alarm_minutes": node.settings.source.alarm_minutes,
        "overdue": len(late),
        "overdue_since": min(late.values(), default=None),
        "silent_senders": [{"aet": aet, "since": since} for aet, since in silent.items()],
        "waiting": counts["pending"] + counts["fetching"],
        "fetched": counts["fetched"],
        "failed": counts["failed"],
        "not_fetched": [
            {key: row[key] if uids or key not in _UIDS else "" for key in _NOT_FETCHED} for row in given_up
        ],
        **circuits,
        "orders": placed,
    }


def pull_worries(facts: dict[str, Any]) -> list[str]:
    """Return what an administrator has to look at, one sentence each."""
    found = []
    if facts["overdue"]:
        found.append(f"{facts['overdue']} study(ies) without a result for more than {facts['alarm_minutes']:g} min.")
    found += [
        f"{one['aet']} has not sent anything for too long: ask whether it is switched off, or its rule was changed."
        for one in facts["silent_senders"]
    ]
    if facts["failed"]:
        found.append(f"{facts['failed']} series that the archive lists could not be fetched: see Sources below.")
    for name, what in (("look", "what should have come"), ("fetch", "the images")) if facts["retrieve"] else ():
        if facts[name]["failures"]:
            found.append(f"The source does not give {what}: {facts[name]['last_error']}")
    found += [f"Order {order['id']} does not go on. {order['held']}" for order in facts["orders"] if order["held"]]
    return found
