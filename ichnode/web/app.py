"""The application: routes, errors, headers. One page or group of endpoints a file, each with its `ROUTES`."""

from __future__ import annotations

import threading
from typing import Any

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ichnode.errors import IchnodeError
from ichnode.steps.node import Node
from ichnode.web import (
    api,
    errors,
    events,
    monitoring,
    node_api,
    node_page,
    rules_page,
    sign_in,
    slices,
    study_api,
    study_page,
    teach,
    worklist_page,
)
from ichnode.web.armour import Armour
from ichnode.web.charts import Charts
from ichnode.web.pages import STATIC
from ichnode.web.refusals import Refused
from ichnode.web.seen import Seen

HEAVY_AT_ONCE = 2
"""Endpoints that decode pixels: receiving and analysing come first on the processors of a node."""
PASSWORDS_AT_ONCE = 2
"""Each takes 64 MiB: many strangers at the door must not take the node's memory."""


class _Kept(StaticFiles):
    """Files that a browser may keep for ever where their address names their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        named = b"v=" in scope.get("query_string", b"")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if named else "no-cache"
        return answer


def routes(upload_bytes: int) -> list[BaseRoute]:
    """Return every way in; `upload_bytes` is the most that the rule tester takes at once."""
    return [
        *sign_in.ROUTES, *worklist_page.ROUTES, *events.ROUTES, *node_page.ROUTES, *api.ROUTES, *node_api.ROUTES,
        *rules_page.routes(upload_bytes), *study_page.ROUTES, *study_api.ROUTES, *slices.ROUTES, *teach.ROUTES,
        *monitoring.ROUTES, Mount("/static", _Kept(directory=STATIC), name="static"),
    ]  # fmt: skip


def create_app(node: Node) -> Starlette:
    """Return the ASGI application that shows a node."""
    handlers: dict[Any, Any] = {
        Refused: errors.refused,
        HTTPException: errors.not_served,
        IchnodeError: errors.failed,
        Exception: errors.unexpected,
    }
    app = Starlette(
        routes=routes(node.settings.web.upload_bytes),
        exception_handlers=handlers,
        middleware=[
            Middleware(Armour, https=bool(node.settings.web.certificate)),
            Middleware(GZipMiddleware, minimum_size=2000),
        ],
    )
    app.state.node = node
    app.state.heavy = CapacityLimiter(HEAVY_AT_ONCE)
    app.state.uploads = CapacityLimiter(1)
    app.state.passwords, app.state.at_the_door = CapacityLimiter(PASSWORDS_AT_ONCE), 0
    app.state.pulse = events.Pulse(node)
    app.state.stopping = threading.Event()
    app.state.draining = threading.Event()
    app.state.tally = monitoring.begin_tally(node)
    app.state.seen = Seen()
    app.state.charts = Charts()
    return app
