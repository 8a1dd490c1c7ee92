"""Webhook: JSON by POST, signed with HMAC-SHA256 over the time and the very bytes of the body."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ichnode.channel_section import ChannelSection
from ichnode.errors import PeerRefused
from ichnode.https import WebRemote, ask, connected
from ichnode.notify.message import FindingFact, Message, Said
from ichnode.notify.words import NOTICE, headline
from ichnode.trust import secret_in

SIGNATURE = "Ichnode-Signature"
_LEAST_SECRET = 16


def body_of(message: Message) -> bytes:
    """Return a message as JSON; the same bytes for every attempt."""
    said: dict[str, Any] = {
        "format": 1,
        "id": message.uid,
        "kind": message.kind,
        "created_at": message.created_at.isoformat(timespec="seconds"),
        "study": message.study,
        "verdict": None if message.kind == "test" else message.called,
        "preliminary": message.preliminary,
        "urgency": message.urgency,
        "corrects": message.corrects,
        "escalates": message.escalates,
        "step": message.step,
        "findings": [_finding(finding) for finding in message.findings],
        "reason": None if message.reason is None else {"code": message.reason[0], "sentence": message.reason[1]},
        "sentence": headline(message),
        "node": message.node,
        "software": f"ichnode {message.version}",
        "model": message.model or None,
        "notice": NOTICE,
    }
    if message.patient is not None:
        said["patient"] = asdict(message.patient)
    return json.dumps(said, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the signature's header: ``t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>", hexadecimal>``."""
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def reach(channel: ChannelSection, timeout_s: float) -> None:
    """Ask the server whether it is there, without a message: whatever it answers to HEAD proves that it is up.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    _secret(channel)
    web = _remote(channel, timeout_s)
    with connected(web) as client:
        try:
            ask(web, client, "HEAD", "")
        except PeerRefused:
            return  # many services take nothing but a signed POST


def send(channel: ChannelSection, message: Message, timeout_s: float, now: Callable[[], datetime]) -> Said:
    """Post one message.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    body, secret, web = body_of(message), _secret(channel), _remote(channel, timeout_s)
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        SIGNATURE: signature(secret, int(now().timestamp()), body),
        "Ichnode-Message": message.uid,
    }
    with connected(web) as client:
        code = ask(web, client, "POST", "", [body], headers).code
    if code // 100 == 2:
        return Said(status=code)
    error = f"{channel.name} answered with HTTP {code}. Look at its log."
    return Said(error, transient=code // 100 == 5, status=code)


def _remote(channel: ChannelSection, timeout_s: float) -> WebRemote:
    url = urlsplit(channel.url)
    where = f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "")
    return WebRemote(
        channel.name, channel.url, channel.token_file, channel.user, channel.password_file, channel.ca_file,
        channel.client_certificate, channel.client_key, timeout_s, service="the webhook", accept="*/*",
        shown=where,  # paths and queries of webhooks are secrets more often than not
    )  # fmt: skip


def _secret(channel: ChannelSection) -> str:
    secret = secret_in(channel.name, "secret_file", channel.secret_file)
    if len(secret) < _LEAST_SECRET:
        raise PeerRefused(
            f"{channel.name}: secret_file {channel.secret_file} holds fewer than {_LEAST_SECRET} characters. "
            "Make one with: openssl rand -hex 32"
        )
    return secret


def _finding(finding: FindingFact) -> dict[str, Any]:
    return {
        "name": finding.name,
        "present": finding.present if finding.score is not None else None,
        "score": None if finding.score is None else round(finding.score, 4),
        "threshold": finding.threshold,
        "code": asdict(finding.concept),
    }
