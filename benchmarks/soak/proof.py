"""What has to hold after the day, each with the figures it rests on."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlalchemy import select

from ichnode.worklist import schema, views
from tests.invariants import check
from tests.running import RunningNode, current_results

from .scanner import Sent
from .witness import Look

GROWTH_MIB, GROWTH_SHARE = 20.0, 0.10
"""Memory is flat when it grew by less than the larger of these two from the first to the last third of a span."""
LEAST_LOOKS = 60


@dataclass(frozen=True)
class Day:
    """All that is known of the day when it is over; times are of `time.monotonic`."""

    node: RunningNode
    archive: Path
    sent: Sequence[Sent]
    looks: Sequence[Look]
    drained_s: float | None
    undisturbed_since: float
    outages: Sequence[tuple[float, float]] = field(default_factory=list)  # of the archive, of `time.time`


@dataclass(frozen=True)
class Proof:
    """One thing that has to hold; `held` is None where the day was too short to say."""

    name: str
    held: bool | None
    why: str


def prove(day: Day) -> list[Proof]:
    """Look at everything."""
    series = day.node.series()
    return [
        _everything_sent(day),
        _drained(day),
        _nothing_lost(day),
        _answered(day, series),
        _nothing_twice(day, series),
        _urgent_first(day),
        _in_order(day),
        _flat("memory of the node is flat", day, lambda look: look.node_mib),
        _flat("memory of the worker is flat", day, lambda look: look.worker_mib),
        _no_surprises(day),
    ]


def _everything_sent(day: Day) -> Proof:
    short = [one.exam.number for one in day.sent if len(one.acknowledged) != one.slices]
    slices = sum(len(one.acknowledged) for one in day.sent)
    why = f"{slices} slices of {len(day.sent)} studies were acknowledged" + (f"; not all of {short}" if short else "")
    return Proof("every slice could be sent in the end", not short, why)


def _drained(day: Day) -> Proof:
    with day.node.worklist.read() as tx:
        seen = views.counts(tx)
    failed = {name: seen[name] for name in ("jobs.failed", "deliveries.failed") if seen.get(name)}
    if day.drained_s is None:
        return Proof("the queue drains", False, f"something is still on its way: {seen}")
    why = f"{day.drained_s:.0f} s after the last slice nothing was waiting"
    return Proof("the queue drains", not failed, f"{why}; failed: {failed}" if failed else why)


def _nothing_lost(day: Day) -> Proof:
    acknowledged = set().union(*(one.acknowledged for one in day.sent))
    try:
        check(day.node, acknowledged)
    except AssertionError as broken:
        return Proof("nothing is lost", False, str(broken).partition("\n")[0])
    why = f"each of {len(acknowledged)} acknowledged slices is on disk, whole, and in one current result"
    return Proof("nothing is lost", True, why)


def _answered(day: Day, series: Sequence[dict[str, Any]]) -> Proof:
    known = {one["series_instance_uid"]: current_results(one) for one in series}
    wrong = []
    for one in day.sent:
        verdicts = [result["verdict"] for result in known.get(one.series, [])]
        if len(verdicts) != 1 or (verdicts[0] == "not_analysed") is not (one.exam.way == "contrast"):
            wrong.append(f"{one.exam.number} ({one.exam.way}): {verdicts or 'no answer'}")
    counted = Counter(result["verdict"] for results in known.values() for result in results)
    told = ", ".join(f"{many} {verdict.replace('_', ' ')}" for verdict, many in sorted(counted.items()))
    return Proof("every study has its answer", not wrong, f"{told}" + (f"; wrong: {wrong}" if wrong else ""))


def _nothing_twice(day: Day, series: Sequence[dict[str, Any]]) -> Proof:
    there = Counter(
        str(dcmread(file, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for file in day.archive.iterdir()
    )
    offered, unknown = set(), set(there)
    for one in series:
        for result in one["results"]:
            for report in result["reports"]:
                unknown.discard(report["sop_instance_uid"])
                if any(delivery["state"] == "delivered" for delivery in report["deliveries"]):
                    offered.add(report["sop_instance_uid"])
    missing, twice = offered - set(there), [uid for uid, many in there.items() if many > 1]
    why = (
        f"{len(offered)} reports are noted as delivered, {len(there)} are in the archive for {len(series)} series; "
        f"{len(missing)} missing, {len(twice)} twice, {len(unknown)} that nobody made"
    )
    return Proof("nothing is there twice", not (missing or twice or unknown), why)


def _urgent_first(day: Day) -> Proof:
    table = schema.deliveries
    with day.node.worklist.read() as tx:
        rows = list(tx.execute(select(table.c.urgency, table.c.created_at, table.c.delivered_at)))
    waited, inverted = 0, 0
    for began, ended in day.outages:
        behind = [
            (row.urgency, row.delivered_at) for row in rows
            if row.delivered_at and row.created_at.timestamp() < ended - 1 and row.delivered_at.timestamp() > ended
            and row.created_at.timestamp() > began - 3600
        ]  # fmt: skip
        waited += len(behind)
        inverted += sum(a < b and at_a > at_b for a, at_a in behind for b, at_b in behind)
    why = f"{waited} reports waited for an archive that was away; {inverted} pairs went out in the wrong order"
    return Proof("what is urgent is delivered first", inverted == 0 if waited else None, why)


def _in_order(day: Day) -> Proof:
    """The first claim of each analysis comes in the order in which the analyses were queued."""
    jobs, journal = schema.jobs, schema.journal
    with day.node.worklist.read() as tx:
        claimed = select(jobs.c.id, jobs.c.series_id).where(jobs.c.kind == "analyse", jobs.c.attempts > 0)
        queued = defaultdict(list)
        for row in tx.execute(claimed.order_by(jobs.c.id)):
            queued[row.series_id].append(row.id)
        claims = tx.execute(
            select(journal.c.series_id, journal.c.detail).where(journal.c.event == "job.claimed").order_by(journal.c.id)
        )
        order = [
            queued[row.series_id].pop(0) for row in claims
            if row.detail["kind"] == "analyse" and row.detail["attempt"] == 1 and queued.get(row.series_id)
        ]  # fmt: skip
    inverted = sum(a > b for a, b in pairwise(order))
    return Proof("who waits longest is analysed first", inverted == 0, f"{len(order)} analyses, {inverted} out of turn")


def _flat(name: str, day: Day, of: Callable[[Look], float | None]) -> Proof:
    looks = [mib for look in day.looks if look.at > day.undisturbed_since and (mib := of(look)) is not None]
    looks = looks[len(looks) // 5 :]  # caches fill
    if len(looks) < LEAST_LOOKS:
        return Proof(name, None, f"only {len(looks)} looks since the last start")
    third = len(looks) // 3
    first, last = statistics.median(looks[:third]), statistics.median(looks[-third:])
    held = last - first < max(GROWTH_MIB, GROWTH_SHARE * first)
    return Proof(name, held, f"{first:.0f} MiB in the first third since the last start, {last:.0f} MiB in the last")


def _no_surprises(day: Day) -> Proof:
    log = day.node.log
    found = [word for word in ("Traceback", "unexpected", "Report this line") if word in log]
    return Proof("nothing happened that nobody foresaw", not found, f"the log has {found or 'no such word'}")
