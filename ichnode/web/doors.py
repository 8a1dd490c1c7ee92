"""Every way in is a door: it says what one must be allowed, and checks that what changes something comes from a page.

An endpoint is an ordinary function ``(request, visitor) -> Response`` that may block: it runs in a thread of its own.
What a form sent lies in ``request.state.form``.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from anyio import CapacityLimiter, WouldBlock, fail_after, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ichnode.web.refusals import Refused
from ichnode.web.visitor import Visitor, require, touch_session

SAFE = ("GET", "HEAD", "OPTIONS")
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
FORM_BYTES = 64 << 10
BODY_S, SLOWEST_BYTES_S = 20.0, 50_000
"""A body has this time, and what the largest one that is taken needs at this speed."""
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

Endpoint = Callable[[Request, Visitor], Response]


class Door(Route):
    """A route that says whom it lets in and what it does."""

    permission = ""
    does = ""


def door(
    path: str, permission: str, endpoint: Endpoint, methods: tuple[str, ...] = ("GET",), *, by_itself: bool = False,
    body_bytes: int = FORM_BYTES, name: str | None = None, heavy: bool = False, uploads: bool = False,
) -> Door:  # fmt: skip
    """Return the route of an endpoint.

    Parameters
    ----------
    permission : str
        A key of `ichnode.core.access.PERMISSIONS`.
    by_itself : bool
        Whether a page asks for it without a person: then it does not keep a session from ending.
    body_bytes : int
        A larger request is refused before it is read.
    heavy : bool
        Whether it takes much of the processor: of these only a few run at a time, and the others of the node's pages
        never wait for them.
    uploads : bool
        Whether much is sent: of these only one is taken at a time, and another is refused before it is read.
    """

    async def enter(request: Request) -> Response:
        visitor = await run_in_threadpool(require, request, permission)
        if not uploads:
            return await admitted(request, visitor)
        turn: CapacityLimiter = request.app.state.uploads
        try:
            turn.acquire_on_behalf_of_nowait(request)
        except WouldBlock:
            raise Refused(503, "BUSY", "Somebody else's files are being looked at; try again in a moment.") from None
        try:
            return await admitted(request, visitor)
        finally:
            turn.release_on_behalf_of(request)

    async def admitted(request: Request, visitor: Visitor) -> Response:
        try:
            if request.method not in SAFE:
                await admit_body(request, body_bytes)
                check_origin(request)
                check_csrf(request, visitor)
            if not by_itself:
                await run_in_threadpool(touch_session, request)
            if heavy:
                return await to_thread.run_sync(endpoint, request, visitor, limiter=request.app.state.heavy)
            return await run_in_threadpool(endpoint, request, visitor)
        finally:
            await request.close()  # files of a form

    made = Door(path, enter, methods=list(methods), name=name or endpoint.__name__)
    made.permission, made.does = permission, (endpoint.__doc__ or "").strip()
    return made


async def admit_body(request: Request, most: int) -> None:
    """Read a request's body into ``request.state.form`` (a form) or ``request.state.body`` (anything else).

    Raises
    ------
    Refused
        413 when it is larger than `most`, said or found; 408 when it does not come in time; 400 when it is no form.
    """
    said = request.headers.get("Content-Length", "")
    if said.isdigit() and int(said) > most:
        raise Refused(413, "TOO_LARGE", f"At most {most} bytes are taken at once; send less.")
    taken = _count(request, most)
    try:
        with fail_after(BODY_S + most / SLOWEST_BYTES_S):
            if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() in FORMS:
                request.state.form = await request.form(max_files=2000, max_fields=100)
            else:
                request.state.form, request.state.body = FormData(), await request.body()
    except TimeoutError:
        raise Refused(408, "TOO_SLOW", "What was sent did not come to its end in time; nothing was done.") from None
    except (MultiPartException, HTTPException, ClientDisconnect):
        if taken[0] > most:
            raise Refused(413, "TOO_LARGE", f"At most {most} bytes are taken at once; send less.") from None
        raise Refused(400, "BAD_FORM", "This is no form that could be read.") from None


def _count(request: Request, most: int) -> list[int]:
    """Let no more than `most` bytes in; what has come so far stands in the list that is returned."""
    receive: Callable[[], Awaitable[Any]] = request._receive
    taken = [0]

    async def counted() -> Any:
        message = await receive()
        taken[0] += len(message.get("body", b""))
        if taken[0] > most:
            raise MultiPartException("too large")  # which the parser answers by closing its files
        return message

    request._receive = counted
    return taken


def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries; an empty one where it carries nothing.

    Raises
    ------
    Refused
        400 when it is anything else.
    """
    try:
        found = json.loads(request.state.body or b"{}")
    except (ValueError, AttributeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "BAD_JSON", "The body has to be a JSON object.")
    return found


def check_origin(request: Request) -> None:
    """Refuse what another site made the browser send (Fetch Metadata, and the Origin of RFC 6454)."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    foreign = site is not None and site not in ("same-origin", "none")
    if foreign or (origin is not None and urlsplit(origin).netloc != request.headers.get("Host", "")):
        raise Refused(403, "OTHER_SITE", "Another site sent this request; nothing was done.")


def check_csrf(request: Request, visitor: Visitor) -> None:
    """Refuse what does not carry the token of the session's own pages."""
    if visitor.by == "token":
        return
    given = request.headers.get(CSRF_HEADER) or request.state.form.get(CSRF_FIELD) or ""
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), visitor.csrf.encode()):
        raise Refused(403, "STALE_PAGE", "This page is out of date; nothing was done. Load it again.")
