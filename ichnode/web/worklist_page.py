"""The worklist: what needs eyes first. It renews itself when something changes; its filters are in its address."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ichnode.web.doors import door
from ichnode.web.filters import Filter, read_filter, read_key, write_key
from ichnode.web.pages import page
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import audit, searches, triage_list

LINES, LINES_ON_PAPER = 50, 500
LIST = "worklist"
TABS = (
    ("", "All"), ("positive", "Suspected"), ("failed", "Failed"), ("waiting", "Waiting"), ("running", "Running"),
    ("not_analysed", "Not analysed"), ("negative", "None detected"), ("retracted", "Withdrawn"),
)  # fmt: skip


def worklist(request: Request, visitor: Visitor) -> Response:
    """Show the page."""
    shown = _shown(request, visitor)
    _note(request, visitor, [line["id"] for line in shown["studies"]], shown)
    return page(request, "worklist.html", visitor, **shown)


def worklist_again(request: Request, visitor: Visitor) -> Response:
    """Show the list alone, to a page that is open."""
    shown = _shown(request, visitor)
    now = node_of(request).now()
    seen = frozenset() if visitor.by == "token" else request.app.state.seen.last(visitor, LIST, now)
    if new := [line["id"] for line in shown["studies"] if line["id"] not in seen]:
        _note(request, visitor, new, shown)
    return page(request, "worklist_list.html", visitor, **shown)


def worklist_on_paper(request: Request, visitor: Visitor) -> Response:
    """Show all that the filters let through on one page, to be printed; no more than `LINES_ON_PAPER`."""
    shown = _shown(request, visitor, LINES_ON_PAPER)
    _note(request, visitor, [line["id"] for line in shown["studies"]], shown)
    return page(request, "worklist_print.html", visitor, **shown, chosen=_in_words(shown))


def _in_words(shown: dict[str, Any]) -> list[str]:
    asked: Filter = shown["asked"]
    words = [title for status, title in TABS if status in asked.statuses]
    words += [{"yes": "read", "no": "unread"}[asked.read]] if asked.read else []
    words += [f"{side} {day}" for side, day in (("from", asked.first), ("to", asked.last)) if day]
    return words + ([f"found by “{shown['text']}”"] if shown["text"] else [])


def _note(request: Request, visitor: Visitor, new: list[int], shown: dict[str, Any]) -> None:
    note_view(request, visitor, "worklist.viewed", studies=new)
    ids = frozenset(line["id"] for line in shown["studies"])
    request.app.state.seen.note(visitor, LIST, node_of(request).now(), ids)


def search(request: Request, visitor: Visitor) -> Response:
    """Turn what was typed into an address that names nobody."""
    node, form = node_of(request), request.state.form
    asked = read_filter(form)
    text = str(form.get("text", "")).strip()[:200]
    key = ""
    if text:
        key = secrets.token_urlsafe(12)
        with node.worklist.write() as tx:
            searches.keep(tx, node.now(), visitor.name, key, text)
            audit.record(tx, node.now(), visitor.name, "worklist.searched", address=visitor.address)
    return RedirectResponse(f"/{asked.address(search=key)}", 303)


def _shown(request: Request, visitor: Visitor, lines: int | None = None) -> dict[str, Any]:
    node = node_of(request)
    asked = read_filter(request.query_params)
    lines = lines or LINES
    after, before = (read_key(request.query_params.get(name)) for name in ("after", "before"))
    with node.worklist.read() as tx:
        text = searches.find(tx, visitor.name, asked.search) if asked.search else ""
        chosen = asked.chosen(text or "")
        found = [] if text is None else triage_list.page(tx, lines + 1, after, before, chosen)
        counts = triage_list.counts(tx)
    more, found = len(found) > lines, (found[-lines:] if before else found[:lines])
    has_next, has_previous = (True, more) if before else (more, bool(after))
    return {
        "studies": found,
        "counts": counts,
        "tabs": TABS,
        "asked": asked,
        "text": text or "",
        "forgotten": text is None,
        "now": node.now(),
        "next": _edge(asked, "after", found[-1]) if found and has_next else "",
        "previous": _edge(asked, "before", found[0]) if found and has_previous else "",
        "here": request.url.query,
    }


def _edge(asked: Filter, side: str, line: dict[str, Any]) -> str:
    return "/" + asked.address(**{side: write_key(triage_list.key_of(line))})


ROUTES = [
    door("/", "worklist.read", worklist),
    door("/worklist/print", "worklist.read", worklist_on_paper),
    door("/worklist/list", "worklist.read", worklist_again, by_itself=True),
    door("/worklist/search", "worklist.read", search, ("POST",)),
]
