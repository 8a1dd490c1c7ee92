"""The node for programs: how it is, the audit journal, and what an administrator may do about it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ichnode.steps.promote import promote, rollback
from ichnode.web.api import json_of, limit_of
from ichnode.web.charts import Charts, Drawn
from ichnode.web.doors import door, json_body
from ichnode.web.node_facts import facts_for, worries
from ichnode.web.refusals import Refused
from ichnode.web.study_facts import is_key, whole_number
from ichnode.web.visitor import Visitor, node_of
from ichnode.worklist import audit, deliveries, jobs, models, pauses, retrievals, views


def node(request: Request, visitor: Visitor) -> Response:
    """Return how the node is."""
    facts = facts_for(request, visitor)
    return json_of({**facts, "worries": worries(facts, _charts(request), node_of(request).now())})


def scanners(request: Request, visitor: Visitor) -> Response:
    """Return the control charts of each scanner: scores, density of brain, slice spacing."""
    found = _charts(request)
    return JSONResponse({
        "scanners": [
            {"station": station, "charts": [
                {
                    "name": one.name, "unit": one.unit, "values": list(one.values),
                    "centre": one.chart and one.chart.centre, "low": one.chart and one.chart.low,
                    "high": one.chart and one.chart.high, "outside": list(one.chart.outside) if one.chart else [],
                }
                for one in charts
            ]}
            for station, charts in found.items()
        ]
    })  # fmt: skip


def _charts(request: Request) -> dict[str, list[Drawn]]:
    charts: Charts = request.app.state.charts
    return charts.of(node_of(request))


def audit_journal(request: Request, visitor: Visitor) -> Response:
    """Return the audit journal, the latest first."""
    query = request.query_params
    with node_of(request).worklist.read() as tx:
        rows = audit.latest(tx, limit_of(request), whole_number(query.get("before")), whole_number(query.get("study")))
    return json_of({"entries": rows})


def retry(request: Request, visitor: Visitor) -> Response:
    """Start what failed again: of one study, or of all."""
    node, number = node_of(request), json_body(request).get("study")
    if number is not None and not is_key(number):
        raise Refused(400, "BAD_STUDY", 'Send {"study": 12} or {} for all.')
    with node.worklist.write() as tx:
        chosen = None if number is None else views.series_ids(tx, [number])
        if chosen == []:
            raise Refused(404, "NO_STUDY", "There is no such study.")
        analyses = jobs.retry_jobs(tx, node.now(), chosen)
        sent = deliveries.retry_deliveries(tx, node.now(), chosen)
        uids = None if number is None else views.study_uids(tx, [number])
        fetched = retrievals.retry(tx, node.now(), uids)
        audit.record(tx, node.now(), visitor.name, "node.retried", number, visitor.address, analyses=analyses)
    return json_of({"analyses": analyses, "deliveries": sent, "retrievals": fetched})


def pause(request: Request, visitor: Visitor) -> Response:
    """Pause or resume a destination or channel."""
    node, name = node_of(request), request.path_params["name"]
    settings = node.settings
    if name not in {d.name for d in settings.destinations} | {c.name for c in settings.channels}:
        raise Refused(404, "NO_DESTINATION", "There is no such destination or channel in the configuration.")
    paused = json_body(request).get("paused")
    if not isinstance(paused, bool):
        raise Refused(400, "BAD_PAUSE", 'Send {"paused": true} or {"paused": false}.')
    act, what = (pauses.pause, "destination.paused") if paused else (pauses.resume, "destination.resumed")
    with node.worklist.write() as tx:
        if act(tx, node.now(), name, visitor.name):
            audit.record(tx, node.now(), visitor.name, what, None, visitor.address, destination=name)
    return json_of({"name": name, "paused": paused})


def promote_model(request: Request, visitor: Visitor) -> Response:
    """Make a model active that the gate let through; it is named by its digest, or by how that begins."""
    return _changed(promote(node_of(request), request.path_params["digest"], visitor))


def roll_back(request: Request, visitor: Visitor) -> Response:
    """Make the model active again that was active before."""
    return _changed(rollback(node_of(request), visitor))


def _changed(row: models.ModelRow) -> Response:
    return JSONResponse({"digest": row.digest, "name": row.name, "version": row.version, "state": row.state})


ROUTES = [
    door("/api/v1/node", "node.read", node, name="api_node"),
    door("/api/v1/node/scanners", "node.read", scanners, name="api_scanners"),
    door("/api/v1/audit", "audit.read", audit_journal),
    door("/api/v1/retry", "node.operate", retry, ("POST",), name="api_retry"),
    door("/api/v1/destinations/{name}/pause", "node.operate", pause, ("POST",), name="api_pause"),
    door("/api/v1/models/{digest}/promote", "model.promote", promote_model, ("POST",), name="api_promote"),
    door("/api/v1/models/rollback", "model.promote", roll_back, ("POST",), name="api_rollback"),
]
