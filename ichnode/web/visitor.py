"""Who is asking, and what they may: by session cookie, by API token, or named by a trusted reverse proxy."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from starlette.requests import Request

from ichnode.config import Settings
from ichnode.core.access import is_account_name, permissions_of
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.web.refusals import Refused
from ichnode.worklist import accounts, audit, sessions, tokens

COOKIE = "ichnode_session"
SECRET_HEADER = "X-Ichnode-Proxy-Secret"
_TOUCH_EVERY = timedelta(seconds=30)
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is let in.

    Attributes
    ----------
    name : str
        As the audit journal has it: an account, or ``token:NAME``.
    role : str
        Empty for a token.
    csrf : str
        What a form or a fetch that changes something has to send back; empty for a token, which no browser sends by
        itself.
    """

    name: str
    role: str
    permissions: frozenset[str]
    csrf: str
    address: str
    by: Literal["session", "proxy", "token"]

    def may(self, permission: str) -> bool:
        """Tell whether something is allowed."""
        return permission in self.permissions


def node_of(request: Request) -> Node:
    """Return the node whose pages these are."""
    node: Node = request.app.state.node
    return node


def require(request: Request, permission: str) -> Visitor:
    """Return who is asking.

    Blocking; endpoints that are declared by `ichnode.web.doors.door` get the visitor from there.

    Raises
    ------
    Refused
        401 when nobody has signed in, or the session is over; 403 when it is not allowed.
    """
    visitor = recognise(request)
    if visitor is None:
        raise Refused(401, "SIGN_IN", "Sign in first.")
    if not visitor.may(permission):
        raise Refused(403, "NOT_ALLOWED", f"This needs the permission {permission}, which {visitor.name} has not.")
    return visitor


def recognise(request: Request) -> Visitor | None:
    """Return who is asking, or None."""
    node = node_of(request)
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return _by_token(node, secret.strip(), address_of(request))
    if (shared := proxy_secret(node.settings)) and _same(request.headers.get(SECRET_HEADER, ""), shared):
        return _by_proxy(node, request.headers.get(node.settings.web.proxy_user_header, ""), shared, request)
    return _by_session(node, request.cookies.get(COOKIE, ""), address_of(request))


def note_view(request: Request, visitor: Visitor, what: str, study_id: int | None = None, **detail: object) -> None:
    """Write down in the audit journal that somebody saw or did something, in a transaction of its own."""
    node = node_of(request)
    with node.worklist.write() as tx:
        audit.record(tx, node.now(), visitor.name, what, study_id, visitor.address, **detail)


def address_of(request: Request) -> str:
    """Return the address that asks; behind a trusted proxy, the one that the proxy names."""
    client = request.client.host if request.client else ""
    shared = proxy_secret(node_of(request).settings)
    if shared and _same(request.headers.get(SECRET_HEADER, ""), shared):
        client = request.headers.get("X-Forwarded-For", client).rpartition(",")[2].strip()
    return client[:64]


def travels_by_https(request: Request) -> bool:
    """Tell whether the browser reaches the pages by https, so that a cookie may be bound to it."""
    settings = node_of(request).settings
    if settings.web.secure:
        return True
    shared = proxy_secret(settings)
    trusted = bool(shared) and _same(request.headers.get(SECRET_HEADER, ""), shared)
    return trusted and request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"


def csrf_of(secret: str) -> str:
    """Return the token against forged requests that belongs to a session's secret."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def proxy_secret(settings: Settings) -> str:
    """Return the secret that the trusted proxy shares; empty where there is no proxy, or its file cannot be read."""
    if not settings.web.proxy_secret_file:
        return ""
    try:
        secret = Path(settings.web.proxy_secret_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        log.error("web.no_proxy_secret", error=error.strerror, remedy="Correct web.proxy_secret_file or its rights.")
        return ""
    return secret


def _by_session(node: Node, secret: str, address: str) -> Visitor | None:
    if not secret:
        return None
    web, now = node.settings.web, node.now()
    with node.worklist.read() as tx:
        session = sessions.find(tx, now, secret, web.idle_timeout_s, web.session_s)
    if session is None:
        return None
    return Visitor(session.name, session.role, permissions_of(session.role), csrf_of(secret), address, "session")


def touch_session(request: Request) -> None:
    """Note that a person did something: what a page asks for by itself does not keep a session open."""
    node = node_of(request)
    secret = request.cookies.get(COOKIE, "")
    web, now = node.settings.web, node.now()
    with node.worklist.read() as tx:
        session = sessions.find(tx, now, secret, web.idle_timeout_s, web.session_s) if secret else None
    if session is not None and now - session.seen_at > _TOUCH_EVERY:
        with node.worklist.write() as tx:
            sessions.touch(tx, now, session.digest)


def _by_token(node: Node, secret: str, address: str) -> Visitor | None:
    now = node.now()
    with node.worklist.read() as tx:
        token = tokens.find(tx, now, secret)
    if token is None:
        return None
    if tokens.is_stale(token, now):
        with node.worklist.write() as tx:
            tokens.touch(tx, now, token)
    return Visitor(f"token:{token.name}", "", frozenset(token.scopes), "", address, "token")


def _by_proxy(node: Node, name: str, shared: str, request: Request) -> Visitor | None:
    name = name.strip().lower()
    if not is_account_name(name):
        return None
    with node.worklist.read() as tx:
        account = accounts.find(tx, name)
    role = account.role if account else node.settings.web.proxy_role
    if not role or (account and account.disabled):
        raise Refused(403, "NO_ACCOUNT", "The proxy let you in, but there is no account for you here.")
    return Visitor(name, role, permissions_of(role), csrf_of(f"{shared}\n{name}"), address_of(request), "proxy")


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())
