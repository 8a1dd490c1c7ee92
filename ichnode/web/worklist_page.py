"""The worklist: what needs eyes first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ichnode.web.doors import door
from ichnode.web.pages import page
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import triage_list


def worklist(request: Request, visitor: Visitor) -> Response:
    """Show the studies."""
    with node_of(request).worklist.read() as tx:
        studies = triage_list.page(tx)
    note_view(request, visitor, "worklist.viewed", studies=[s["id"] for s in studies])
    return page(request, "worklist.html", visitor, studies=studies)


ROUTES = [door("/", "worklist.read", worklist)]
