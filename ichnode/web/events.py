"""News for open pages (server-sent events, WHATWG HTML 9.2): that something changed, never what; the page asks anew."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ichnode.steps.node import Node
from ichnode.web.doors import door
from ichnode.web.refusals import Refused
from ichnode.web.visitor import Visitor, recognise
from ichnode.worklist import news

LOOK_EVERY_S = 0.5
CHECK_EVERY_S = 10.0


class Pulse:
    """What is new, asked of the worklist at most twice a second however many pages are open."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._guard = threading.Lock()
        self._looked = -LOOK_EVERY_S
        self._last = (0, "")

    def now(self) -> tuple[int, str]:
        """Return (number of the last change, what pages are told of it)."""
        with self._guard:
            if time.monotonic() - self._looked >= LOOK_EVERY_S:
                with self._node.worklist.read() as tx:
                    number, positives = news.latest(tx)
                studies, answers = [study for study, _ in positives], [answer for _, answer in positives]
                self._last = number, json.dumps({"change": number, "positives": studies, "answers": answers})
                self._looked = time.monotonic()
            return self._last


def events(request: Request, visitor: Visitor) -> Response:
    """Tell of every change until the page goes, the session ends, or the node stops."""
    if request.method == "HEAD":
        return Response(status_code=204)  # a page asks whether its session still holds
    return StreamingResponse(
        _stream(request), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )  # fmt: skip


async def _stream(request: Request) -> AsyncIterator[str]:
    pulse, stopping = request.app.state.pulse, request.app.state.stopping
    told = request.headers.get("Last-Event-ID", "")
    checked = time.monotonic()
    yield "retry: 1000\n\n"
    while not stopping.is_set():
        number, data = await run_in_threadpool(pulse.now)
        if str(number) != told:
            told = str(number)
            yield f"id: {number}\nevent: change\ndata: {data}\n\n"
        if time.monotonic() - checked >= CHECK_EVERY_S:
            checked = time.monotonic()
            if not await run_in_threadpool(partial(_still_in, request)):
                yield "event: ended\ndata: -\n\n"
                return
            yield ": here\n\n"
        await asyncio.sleep(LOOK_EVERY_S)


def _still_in(request: Request) -> bool:
    try:
        return recognise(request) is not None
    except Refused:
        return False


ROUTES = [
    door("/events", "worklist.read", events, by_itself=True),
    door("/api/v1/events", "worklist.read", events, by_itself=True, name="api_events"),
]
