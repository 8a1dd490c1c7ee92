"""The JSON, version 1: all that the pages show. What each answer holds stands in `ichnode.web.api_schemas`."""

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
from ichnode.web.openapi import document
from ichnode.web.pages import page
from ichnode.web.refusals import Refused
from ichnode.web.study_facts import whole_number
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import agreement, triage_list

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


def agreement_by_month(request: Request, visitor: Visitor) -> Response:
    """Return how often readers agree, month by month and model by model."""
    with node_of(request).worklist.read() as tx:
        months = agreement.by_month(tx)
    derived = ("agreement", "ppv", "npv")
    return json_of({"months": [{**asdict(one), **{name: getattr(one, name) for name in derived}} for one in months]})


async def described(request: Request) -> Response:
    """Return the description of all this (OpenAPI); it tells nothing of any patient."""
    return JSONResponse(document(request.app.routes))


def described_for_people(request: Request, visitor: Visitor) -> Response:
    """Show the description as a page."""
    return page(request, "api.html", visitor, api=document(request.app.routes))


def _page_of(request: Request, visitor: Visitor, asked: Filter, text: str) -> Response:
    most = limit_of(request)
    with node_of(request).worklist.read() as tx:
        found = triage_list.page(tx, most + 1, read_key(request.query_params.get("after")), None, asked.chosen(text))
        counts = triage_list.counts(tx)
    lines = found[:most]
    note_view(request, visitor, "worklist.viewed", studies=[line["id"] for line in lines])
    following = write_key(triage_list.key_of(lines[-1])) if len(found) > most else None
    for line in lines:
        for inner in ("rank", "minus_score", "age_key"):
            del line[inner]
    return json_of({"studies": lines, "next": following, "counts": counts})


def limit_of(request: Request) -> int:
    """Return how many are asked for.

    Raises
    ------
    Refused
        400: too many, or none.
    """
    given = request.query_params.get("limit")
    number = 50 if given is None else whole_number(given)
    if number is None or not 1 <= number <= MOST:
        raise Refused(400, "BAD_LIMIT", f"limit is a number from 1 to {MOST}.")
    return number


def json_of(value: Any) -> Response:
    """Return an answer, with its times as text."""
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
    door("/api/v1/agreement", "worklist.read", agreement_by_month),
]
