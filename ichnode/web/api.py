"""The JSON of the node, version 1: all that the pages show. What each answer holds stands in `ichnode.web.openapi`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ichnode.web.doors import door, json_body
from ichnode.web.filters import Filter, read_filter, read_key, write_key
from ichnode.web.node_facts import node_facts, worries
from ichnode.web.openapi import document
from ichnode.web.pages import page
from ichnode.web.refusals import Refused
from ichnode.web.study_facts import whole_number
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import agreement, audit, deliveries, jobs, pauses, triage_list, views

MOST = 200


def worklist(request: Request, visitor: Visitor) -> Response:
    """Return a page of the worklist."""
    return _page_of(request, visitor, read_filter(request.query_params), "")


def worklist_search(request: Request, visitor: Visitor) -> Response:
    """Return a page of those whose patient or accession number fits; the text comes in the body."""
    text = json_body(request).get("text")
    if not isinstance(text, str) or not 0 < len(text.strip()) <= 200:
        raise Refused(400, "BAD_SEARCH", 'Send {"text": "…"} with 1 to 200 characters.')
    return _page_of(request, visitor, read_filter(request.query_params), text)


def study(request: Request, visitor: Visitor) -> Response:
    """Return all that is known of a study."""
    number = request.path_params["study"]
    node = node_of(request)
    with node.worklist.read() as tx:
        facts = views.find_by_id(tx, number)
    if facts is None:
        raise Refused(404, "NO_STUDY", "There is no such study.")
    note_view(request, visitor, "study.viewed", number)
    return _json(facts)


def node(request: Request, visitor: Visitor) -> Response:
    """Return how the node is."""
    facts = node_facts(node_of(request))
    return _json({**facts, "worries": worries(facts)})


def agreement_by_month(request: Request, visitor: Visitor) -> Response:
    """Return how often readers agree, month by month and model by model."""
    with node_of(request).worklist.read() as tx:
        months = agreement.by_month(tx)
    derived = ("agreement", "ppv", "npv")
    return _json({"months": [{**asdict(one), **{name: getattr(one, name) for name in derived}} for one in months]})


def audit_journal(request: Request, visitor: Visitor) -> Response:
    """Return the audit journal, the latest first."""
    query = request.query_params
    with node_of(request).worklist.read() as tx:
        rows = audit.latest(tx, _limit(request), whole_number(query.get("before")), whole_number(query.get("study")))
    return _json({"entries": rows})


def retry(request: Request, visitor: Visitor) -> Response:
    """Start what failed again: of one study, or of all."""
    node, number = node_of(request), json_body(request).get("study")
    if number is not None and not isinstance(number, int):
        raise Refused(400, "BAD_STUDY", 'Send {"study": 12} or {} for all.')
    with node.worklist.write() as tx:
        chosen = None if number is None else views.series_ids(tx, [number])
        if chosen == []:
            raise Refused(404, "NO_STUDY", "There is no such study.")
        analyses = jobs.retry_jobs(tx, node.now(), chosen)
        sent = deliveries.retry_deliveries(tx, node.now(), chosen)
        audit.record(tx, node.now(), visitor.name, "node.retried", number, visitor.address, analyses=analyses)
    return _json({"analyses": analyses, "deliveries": sent})


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
    return _json({"name": name, "paused": paused})


async def described(request: Request) -> Response:
    """Return the description of all this (OpenAPI); it tells nothing of any patient."""
    return JSONResponse(document(request.app.routes))


def described_for_people(request: Request, visitor: Visitor) -> Response:
    """Show the description as a page."""
    return page(request, "api.html", visitor, api=document(request.app.routes))


def _page_of(request: Request, visitor: Visitor, asked: Filter, text: str) -> Response:
    most = _limit(request)
    with node_of(request).worklist.read() as tx:
        found = triage_list.page(tx, most + 1, read_key(request.query_params.get("after")), None, asked.chosen(text))
        counts = triage_list.counts(tx)
    lines = found[:most]
    note_view(request, visitor, "worklist.viewed", studies=[line["id"] for line in lines])
    following = write_key(triage_list.key_of(lines[-1])) if len(found) > most else None
    for line in lines:
        for inner in ("rank", "minus_score", "age_key"):
            del line[inner]
    return _json({"studies": lines, "next": following, "counts": counts})


def _limit(request: Request) -> int:
    given = request.query_params.get("limit")
    number = 50 if given is None else whole_number(given)
    if number is None or not 1 <= number <= MOST:
        raise Refused(400, "BAD_LIMIT", f"limit is a number from 1 to {MOST}.")
    return number


def _json(value: Any) -> Response:
    return Response(json.dumps(value, default=_plain, ensure_ascii=False), media_type="application/json")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


ROUTES = [
    Route("/api/openapi.json", described, methods=["GET"]),
    door("/api", "worklist.read", described_for_people),
    door("/api/v1/worklist", "worklist.read", worklist),
    door("/api/v1/worklist/search", "worklist.read", worklist_search, ("POST",)),
    door("/api/v1/studies/{study:int}", "study.read", study, name="api_study"),
    door("/api/v1/node", "node.read", node, name="api_node"),
    door("/api/v1/agreement", "worklist.read", agreement_by_month),
    door("/api/v1/audit", "audit.read", audit_journal),
    door("/api/v1/retry", "node.operate", retry, ("POST",), name="api_retry"),
    door("/api/v1/destinations/{name}/pause", "node.operate", pause, ("POST",), name="api_pause"),
]
