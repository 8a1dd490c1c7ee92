"""Signing in and out. A session's secret is made anew at each sign-in, whatever cookie came with it."""

from __future__ import annotations

import math
import secrets

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ichnode.web.doors import FORM_BYTES, admit_body, check_csrf, check_origin
from ichnode.web.pages import page
from ichnode.web.passwords import is_password
from ichnode.web.refusals import Refused
from ichnode.web.visitor import COOKIE, address_of, node_of, recognise, travels_by_https
from ichnode.worklist import accounts, sessions, sign_ins

HOME = "/"
MOST_WAITING = 20


def inside(address: str) -> str:
    """Return where to go after signing in: only ever a page of this node."""
    if not address.startswith("/") or address.startswith(("//", "/\\", "/sign-")) or not address.isprintable():
        return HOME
    return address


async def sign_in_page(request: Request) -> Response:
    """Show the form, or do what it asks."""
    if request.method == "POST":
        await admit_body(request, FORM_BYTES)
        check_origin(request)
        return await _in_turn(request)
    return await run_in_threadpool(_form, request)


async def _in_turn(request: Request) -> Response:
    """Look at a password, away from the threads that the pages need. Each takes 64 MiB: few at once, few wait.

    Raises
    ------
    Refused
        503 when too many wait already.
    """
    state = request.app.state
    turns: CapacityLimiter = state.passwords
    # Counted here, without a pause in between: who is let through waits for the limiter only some steps later.
    if state.at_the_door >= turns.total_tokens + MOST_WAITING:
        raise Refused(503, "BUSY", "Too many people sign in at this moment; try again in a few seconds.")
    state.at_the_door += 1
    try:
        return await to_thread.run_sync(_sign_in, request, limiter=turns)
    finally:
        state.at_the_door -= 1


def _form(request: Request) -> Response:
    onward = inside(request.query_params.get("next", HOME))
    if recognise(request) is not None:
        return RedirectResponse(onward, 303)
    return _show(request, onward)


def _show(request: Request, onward: str, said: str = "", name: str = "", status: int = 200) -> Response:
    with node_of(request).worklist.read() as tx:
        nobody = not accounts.any_account(tx)
    return page(
        request, "sign_in.html", None, status=status, onward=onward, said=said, name=name, nobody=nobody
    )  # fmt: skip


def _sign_in(request: Request) -> Response:
    node, form, address = node_of(request), request.state.form, address_of(request)
    name, password = str(form.get("name", "")).strip(), str(form.get("password", ""))
    onward = inside(str(form.get("next", HOME)))
    now = node.now()
    with node.worklist.write() as tx:
        pause_s = sign_ins.pause_s(tx, now, name, address)
        attempt = sign_ins.count(tx, now, name, address) if pause_s <= 0 else None
        account = accounts.find(tx, name)
    if attempt is None:
        return _show(
            request, onward, f"Too many attempts. Try again in {math.ceil(pause_s)} seconds.", name, status=429
        )
    allowed = is_password(account.password if account else None, password) and account and not account.disabled
    with node.worklist.write() as tx:
        if not allowed or account is None:
            sign_ins.failed(tx, now, attempt, known=account is not None)
        else:
            secret = secrets.token_urlsafe(32)
            sign_ins.succeeded(tx, attempt)
            sign_ins.prune(tx, now)
            sessions.prune(tx, now, node.settings.web.idle_timeout_s, node.settings.web.session_s)
            sessions.end(tx, now, request.cookies.get(COOKIE, ""), address)
            sessions.begin(tx, now, account.id, secret, account.name, address)
    if not allowed:
        return _show(request, onward, "Name or password is wrong.", name, status=401)
    answer = RedirectResponse(onward, 303)
    answer.set_cookie(COOKIE, secret, httponly=True, samesite="lax", secure=travels_by_https(request), path="/")
    return answer


async def sign_out(request: Request) -> Response:
    """End the session."""
    await admit_body(request, FORM_BYTES)
    check_origin(request)
    return await run_in_threadpool(_sign_out, request)


def _sign_out(request: Request) -> Response:
    node = node_of(request)
    visitor = recognise(request)
    if visitor is not None:
        check_csrf(request, visitor)
        with node.worklist.write() as tx:
            sessions.end(tx, node.now(), request.cookies.get(COOKIE, ""), visitor.address)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, path="/")
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


ROUTES = [
    Route("/sign-in", sign_in_page, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
