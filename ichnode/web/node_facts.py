"""How the node is, as plain values: the same for the page and for programs."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from starlette.requests import Request

from ichnode.config import Settings
from ichnode.steps import certificates
from ichnode.steps.node import SOURCE, Node
from ichnode.web.charts import Drawn
from ichnode.web.pull_facts import how_of, pull_facts, pull_worries, where_of
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import deliveries, models, shadows, vitals

NOT_READY_FOR, QUEUED_FOR = timedelta(minutes=10), timedelta(minutes=30)
LATEST = 5
"""A point outside a chart's limits is a worry while it is among these."""


def facts_for(request: Request, visitor: Visitor) -> dict[str, Any]:
    """Return all but the charts; UIDs of studies only to who may see studies, which is written down once an hour."""
    node, may = node_of(request), visitor.may("study.read")
    facts, now = node_facts(node, uids=may), node.now()
    named = frozenset(one["series_instance_uid"] for one in facts["pull"]["not_fetched"]) if may else frozenset()
    if new := named - request.app.state.seen.last(visitor, "node", now):
        note_view(request, visitor, "retrievals.viewed", series=len(new))
        request.app.state.seen.note(visitor, "node", now, named)
    return facts


def node_facts(node: Node, uids: bool) -> dict[str, Any]:
    """Return all but the charts; `uids` as for `pull_facts`."""
    settings, now = node.settings, node.now()
    asked = settings.source
    disk = shutil.disk_usage(node.spool.root)
    with node.worklist.read() as tx:
        destinations = [vitals.outlet(tx, now, d.name) for d in settings.destinations]
        channels = [vitals.outlet(tx, now, c.name) for c in settings.channels]
        senders = vitals.senders(tx, now)
        source = asdict(deliveries.circuit(tx, SOURCE))
        queue = vitals.queue(tx)
        boot = vitals.boot(tx, node.boot_id)
        turnaround = vitals.turnaround(tx, now)
        registered = [_model(row) for row in models.registered(tx)]
        shadow = models.shadowing(tx)
        agreement = asdict(shadows.agreement(tx, shadow.digest)) if shadow else None
    where = {d.name: d.url or f"{d.aet} at {d.host}:{d.port}" for d in settings.destinations}
    return {
        "aet": settings.node.aet,
        "listens_on": _listens_on(settings),
        "started_at": boot["started_at"] if boot else None,
        "worker": {
            "state": (boot["worker_state"] if boot else None) or "not started",
            "since": boot["worker_at"] if boot else None,
            "device": boot["worker_device"] if boot else None,
        },
        "disk": {
            "free_bytes": disk.free, "total_bytes": disk.total, "low_bytes": settings.receive.low_disk_bytes,
            "floor_bytes": settings.receive.disk_floor_bytes,
        },
        "queue": queue,
        "last_day": turnaround,
        "destinations": [{**one, "where": where[one["name"]]} for one in destinations],
        "channels": channels,
        "source": {**source, "where": where_of(asked), "how": how_of(asked)} if asked.is_named else None,
        "pull": pull_facts(node, uids),
        "senders": senders,
        "certificates": [worry.sentence for worry in certificates.worries(settings, now)],
        "models": registered,
        "shadow_agreement": agreement,
        "versions": {
            "ichnode": version("ichnode"), "torch": version("torch"), "pydicom": version("pydicom"),
            "pynetdicom": version("pynetdicom"), "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}", "cores": os.cpu_count(),
        },
    }  # fmt: skip


def worries(facts: dict[str, Any], scanners: Mapping[str, Sequence[Drawn]], now: datetime) -> list[str]:
    """Return what an administrator has to look at, one sentence each; empty when all is well."""
    found = []
    started, state = facts["started_at"], facts["worker"]["state"]
    if state == "ended":
        found.append("The worker has ended; it is started again. The log says why.")
    elif state == "unreachable":
        found.append("The analysis pool does not answer: series wait. Start its head; `ichnode doctor` says more.")
    elif state == "no worker":
        found.append("The analysis pool has no worker: series wait. Add a machine that has what [pool] asks for.")
    elif state != "ready" and started and now - started > NOT_READY_FOR:
        found.append(f"The worker is not ready ({state}): slices are received and wait. The log says why.")
    if (oldest := facts["queue"]["oldest_at"]) and now - oldest > QUEUED_FOR:
        found.append(f"An analysis has been waiting for {(now - oldest).total_seconds() / 60:.0f} min.")
    for station, charts in scanners.items():
        drifted = [d.name for d in charts if d.chart and any(i >= d.count - LATEST for i in d.chart.outside)]
        if drifted:
            found.append(f"{station}: {', '.join(drifted)} outside the limits. See its control charts below.")
    if facts["disk"]["free_bytes"] < facts["disk"]["low_bytes"]:
        found.append("The disk is nearly full: slices are refused. Free space.")
    found += facts["certificates"]
    if facts["queue"]["failed"]:
        found.append(f"{facts['queue']['failed']} analysis(es) failed: see the worklist, then try again.")
    for one in [*facts["destinations"], *facts["channels"]]:
        if one["paused_at"]:
            found.append(f"{one['name']} is paused.")
        elif one["failures"]:
            found.append(f"{one['name']} does not answer: {one['last_error']}")
        if one["failed"]:
            found.append(f"{one['failed']} delivery(ies) to {one['name']} failed: correct it there, then try again.")
    if (source := facts["source"]) and source["failures"]:
        found.append(
            f"The source does not answer a {source['how']}: {source['last_error']} Series wait longer until they close."
        )
    found += pull_worries(facts["pull"])
    if not facts["destinations"]:
        found.append("No destination is configured: results stay on this machine.")
    return found


def _listens_on(settings: Settings) -> str:
    host, port, tls = settings.node.host, settings.node.port, settings.tls
    if not tls.certificate:
        return f"{host}:{port}"
    return f"{host}:{port}, with TLS {tls.port}" if tls.plain_port else f"{host}:{tls.port} with TLS"


def _model(row: models.ModelRow) -> dict[str, Any]:
    judged = row.judgement
    return {
        "digest": row.digest, "name": row.name, "version": row.version, "state": row.state, "origin": row.origin,
        "pinned": row.pinned, "registered_at": row.registered_at, "activated_at": row.activated_at,
        "gate": None if judged is None else bool(judged["passed"]),
    }  # fmt: skip
