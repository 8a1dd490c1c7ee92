"""Examine TLS: what is offered, the node's certificate and key, a handshake with itself and with each that it calls."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ichnode.certificates import CertificateUnreadable, certificates_in
from ichnode.config import Settings
from ichnode.dicom.destination import ask_whether_there, remote_of, source_of
from ichnode.dicom.requestor import Remote
from ichnode.dicom.secure import Identity, Trust, acceptor_context, offered, requestor_context
from ichnode.errors import ConfigError, PeerRefused, PeerUnreachable
from ichnode.https import WebRemote
from ichnode.sections import is_loopback
from ichnode.steps.certificates import worries
from ichnode.steps.examine import ANSWER_S, OWN_ANSWER_S, Check
from ichnode.steps.node import utc_now


def examine_tls(settings: Settings) -> Iterator[Check]:
    """Look at everything that DICOM over TLS needs, one after the other."""
    tls = settings.tls
    yield from _offer(settings)
    if tls.certificate:
        yield from _files(settings, utc_now())
        yield from _with_itself(settings)
        yield _senders(settings)
    yield from _expiry(settings)
    yield from _called(settings)


def _offer(settings: Settings) -> Iterator[Check]:
    tls, node = settings.tls, settings.node
    if not tls.certificate:
        yield Check(
            "offer", "no TLS: senders reach node.port only, unencrypted",
            "" if not settings.peers else "Set certificate, key and ca_file in [tls] to offer it.",
        )  # fmt: skip
        return
    for protocol in sorted({p for p, _ in offered()}, reverse=True):
        suites = ", ".join(name for p, name in offered() if p == protocol)
        yield Check(f"offer {protocol}", f"{suites} (PS3.15 B.12)")
    beside = f"beside {node.port} without TLS" if tls.plain_port else "and no port without TLS"
    yield Check("ports", f"{node.host}:{tls.port} with TLS, {beside}")


def _files(settings: Settings, now: datetime) -> Iterator[Check]:
    tls = settings.tls
    try:
        own, *between = certificates_in(tls.certificate)
    except CertificateUnreadable as error:
        yield Check("certificate", "cannot be read", error.sentence)
        return
    said = f"{', '.join(own.names) or 'no name'}; {own.key}; issued by {own.issuer}; SHA-256 {own.sha256}"
    yield Check("certificate", said)
    yield Check("expiry", f"{own.not_after.date()}, in {own.days_left(now):.0f} days")
    chain = " ← ".join([own.name, *(one.name for one in between)])
    if own.self_issued:
        yield Check("chain", f"{own.name}, self-signed: every peer has to trust this very file")
    else:
        yield Check("chain", f"{chain} ← {(between or [own])[-1].issuer}")
    yield _key(tls.key or tls.certificate)


def _key(file: str) -> Check:
    try:
        found = Path(file).stat()
    except OSError as error:
        return Check("key", f"{file} cannot be read ({error.strerror})", "Correct tls.key, or its rights.")
    mode = stat.filemode(found.st_mode)
    if found.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        return Check("key", f"{file} is open to others ({mode})", f"chmod 600 {file}, or 640 with the node's group.")
    if not os.access(file, os.R_OK):
        return Check("key", f"{file} cannot be read by this user ({mode})", "Give it to the user that runs the node.")
    return Check("key", f"{file}, {mode}")


def _with_itself(settings: Settings) -> Iterator[Check]:
    """Shake hands in memory, then over the port where the node runs."""
    tls = settings.tls
    identity = Identity(tls.certificate, tls.key, tls.ca_file)
    try:
        server = acceptor_context(identity, require_certificate=False)
        client = requestor_context("this node", Trust(identity))
    except (ConfigError, PeerRefused) as error:
        yield Check("handshake", "not possible", error.sentence)
        return
    client.check_hostname = False
    try:
        version, cipher = _in_memory(server, client)
    except ssl.SSLCertVerificationError as error:
        yield Check(
            "handshake", f"{error.verify_message}: tls.ca_file does not vouch for the node's own certificate",
            "No matter where peers trust another authority than the node does; else put the certificates between it "
            "and its authority behind it in tls.certificate.",
        )  # fmt: skip
        return
    except ssl.SSLError as error:
        yield Check("handshake", f"failed ({error.reason})", "Look at certificate and key: a newer kind of key helps.")
        return
    yield Check("handshake", f"with itself: {version}, {cipher}")
    host = "127.0.0.1" if settings.node.host in ("0.0.0.0", "::", "") else settings.node.host
    with socket.socket() as probe:
        if tls.port == 0 or probe.connect_ex((host, tls.port)) != 0:
            yield Check("port", f"{host}:{tls.port}: the node does not run")
            return
    own = certificates_in(tls.certificate)[0]
    remote = Remote(
        "this node", settings.node.aet, host, tls.port, settings.node.aet, timeout_s=OWN_ANSWER_S,
        trust=Trust(Identity(tls.certificate, tls.key), fingerprint=own.sha256),
    )  # fmt: skip
    try:
        ask_whether_there(remote)
    except PeerRefused:
        yield Check("port", f"{host}:{tls.port}: the node is running and answers over TLS, this machine is no peer")
    except PeerUnreachable as error:
        yield Check("port", f"{host}:{tls.port} does not answer over TLS", error.sentence)
    else:
        yield Check("port", f"{host}:{tls.port}: the node is running and answers a C-ECHO over TLS")


def _in_memory(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    waiting = list(ends)
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    cipher = ends[0].cipher()
    return ends[0].version() or "", cipher[0] if cipher else ""


def _senders(settings: Settings) -> Check:
    tls = settings.tls
    if not tls.require_certificate:
        return Check(
            "senders", "need no certificate: anybody may shake hands, [[peers]] alone decides",
            "Set tls.require_certificate = true and tls.ca_file for mutual authentication.",
        )  # fmt: skip
    try:
        trusted = ", ".join(one.name for one in certificates_in(tls.ca_file))
    except CertificateUnreadable as error:
        return Check("senders", "cannot be verified", error.sentence)
    bound = sum(bool(peer.certificates) for peer in settings.peers)
    return Check(
        "senders", f"show a certificate of: {trusted}; {bound} of {len(settings.peers)} [[peers]] are bound to one"
    )


def _expiry(settings: Settings) -> Iterator[Check]:
    for worry in worries(settings, utc_now()):
        yield Check(worry.setting, worry.code.replace("_", " ").lower(), worry.sentence)


def _called(settings: Settings) -> Iterator[Check]:
    """Try each destination and the source that is called over TLS; those without are only named."""
    asked: list[tuple[str, Remote | WebRemote]] = [
        (f"destination {d.name}", remote_of(d, settings.node.aet, ANSWER_S, settings.tls))
        for d in settings.destinations
    ]
    if settings.source.aet:
        asked.append(("source", source_of(settings.source, settings.node.aet, ANSWER_S, settings.tls)))
    for name, remote in asked:
        if isinstance(remote, WebRemote):
            continue
        if remote.trust is None:
            advice = "" if is_loopback(remote.host) else "Set tls = true where it offers it."
            yield Check(name, "is called without TLS", advice)
            continue
        try:
            ask_whether_there(remote)
        except (PeerUnreachable, PeerRefused) as error:
            yield Check(name, "no association over TLS", error.sentence)
        else:
            how = "by fingerprint" if remote.trust.fingerprint else "by authority and name"
            yield Check(name, f"{remote.aet} at {remote.host}:{remote.port} answers over TLS, verified {how}")
