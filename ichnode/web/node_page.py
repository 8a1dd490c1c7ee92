"""The node: is everything alive? And what an administrator may do about it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ichnode.steps.promote import promote, rollback
from ichnode.web.doors import door
from ichnode.web.node_facts import facts_for, worries
from ichnode.web.pages import page
from ichnode.web.refusals import Refused
from ichnode.web.study_facts import whole_number
from ichnode.web.visitor import Visitor, node_of
from ichnode.worklist import audit, deliveries, jobs, pauses, retrievals


def node_page(request: Request, visitor: Visitor) -> Response:
    """Show how the node is."""
    return page(request, "node.html", visitor, **_shown(request, visitor))


def node_again(request: Request, visitor: Visitor) -> Response:
    """Show what changes, to a page that is open."""
    return page(request, "node_vitals.html", visitor, **_shown(request, visitor))


def audit_page(request: Request, visitor: Visitor) -> Response:
    """Show the audit journal, the latest first."""
    with node_of(request).worklist.read() as tx:
        rows = audit.latest(tx, 100, whole_number(request.query_params.get("before")))
    return page(request, "audit.html", visitor, rows=rows, now=node_of(request).now())


def pause(request: Request, visitor: Visitor) -> Response:
    """Send nothing to a destination or channel."""
    _sure(request)
    name = _outlet(request)
    with node_of(request).worklist.write() as tx:
        if pauses.pause(tx, node_of(request).now(), name, visitor.name):
            _audit(request, tx, visitor, "destination.paused", destination=name)
    return _back()


def resume(request: Request, visitor: Visitor) -> Response:
    """Send again."""
    name = _outlet(request)
    with node_of(request).worklist.write() as tx:
        if pauses.resume(tx, node_of(request).now(), name, visitor.name):
            _audit(request, tx, visitor, "destination.resumed", destination=name)
    return _back()


def retry(request: Request, visitor: Visitor) -> Response:
    """Start everything that failed again."""
    _sure(request)
    node = node_of(request)
    with node.worklist.write() as tx:
        analyses = jobs.retry_jobs(tx, node.now(), None)
        sent = deliveries.retry_deliveries(tx, node.now(), None)
        fetched = retrievals.retry(tx, node.now(), None)
        _audit(request, tx, visitor, "node.retried", analyses=analyses, deliveries=sent, retrievals=fetched)
    return _back()


def promote_model(request: Request, visitor: Visitor) -> Response:
    """Make a model active that the gate let through."""
    _sure(request)
    promote(node_of(request), str(request.state.form.get("model", "")) or "-", visitor)
    return _back("#models")


def roll_back(request: Request, visitor: Visitor) -> Response:
    """Make the model active again that was active before."""
    _sure(request)
    rollback(node_of(request), visitor)
    return _back("#models")


def _shown(request: Request, visitor: Visitor) -> dict[str, Any]:
    node = node_of(request)
    facts = facts_for(request, visitor)
    scanners, now = request.app.state.charts.of(node), node.now()
    return {"facts": facts, "worries": worries(facts, scanners, now), "scanners": scanners, "now": now}


def _outlet(request: Request) -> str:
    settings, name = node_of(request).settings, str(request.state.form.get("name", ""))
    if name not in {d.name for d in settings.destinations} | {c.name for c in settings.channels}:
        raise Refused(404, "NO_DESTINATION", "There is no such destination or channel in the configuration.")
    return name


def _sure(request: Request) -> None:
    if request.state.form.get("sure") != "yes":
        raise Refused(400, "NOT_CONFIRMED", "Nothing was done: say that you are sure.")


def _audit(request: Request, tx: Any, visitor: Visitor, what: str, **detail: object) -> None:
    audit.record(tx, node_of(request).now(), visitor.name, what, None, visitor.address, **detail)


def _back(anchor: str = "") -> Response:
    return RedirectResponse(f"/node{anchor}", 303)


ROUTES = [
    door("/node", "node.read", node_page),
    door("/node/vitals", "node.read", node_again, by_itself=True),
    door("/node/audit", "audit.read", audit_page),
    door("/node/pause", "node.operate", pause, ("POST",)),
    door("/node/resume", "node.operate", resume, ("POST",)),
    door("/node/retry", "node.operate", retry, ("POST",)),
    door("/node/promote", "model.promote", promote_model, ("POST",)),
    door("/node/rollback", "model.promote", roll_back, ("POST",)),
]
