"""Examine: is everything there that the node needs? Each check says what it found and what to do about it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ichnode.channel_section import ChannelSection
from ichnode.config import Settings
from ichnode.dicom import ups_rs
from ichnode.dicom.archive import source_remote
from ichnode.dicom.commitment import ask_whether_it_commits
from ichnode.dicom.destination import address_of, ask_whether_there, remote_of
from ichnode.dicom.requestor import Remote
from ichnode.dicom.syntaxes import COMPRESSED, decodable_syntaxes
from ichnode.errors import PeerRefused, PeerUnreachable, PermanentError
from ichnode.https import WebRemote
from ichnode.inference.bundle import load_bundle
from ichnode.notify import channels
from ichnode.steps.certificates import worries
from ichnode.steps.node import FETCHING, LOOKING, Node, existing_node, utc_now
from ichnode.steps.register import bundle_in_use
from ichnode.worklist import accounts, alarms, deliveries, retrievals, views, workitems

GIB = 1 << 30
ANSWER_S = 3.0
OWN_ANSWER_S = 15.0
"""The node itself is given longer: a machine that is busy is no reason to say that the port is another program's."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `remedy` is empty when it is as it should be."""

    name: str
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """Look at port, peers, certificates, disk, worklist, decoders, model, pool, destinations, channels and clock."""
    yield _port(settings)
    yield _peers(settings)
    yield from _tls(settings)
    yield _pages(settings)
    yield _disk(settings)
    yield from _worklist(settings)
    yield _decoders()
    yield _model(settings)
    yield from _pool(settings)
    yield from (_destination(settings, number) for number in range(len(settings.destinations)))
    if not settings.destinations:
        yield Check("destinations", "none", "Add a [[destinations]] entry, or results stay on this machine.")
    yield from (_channel(channel) for channel in settings.channels)
    if settings.source.is_named:
        yield _answers("source", source_remote(settings.source, settings.node.aet, ANSWER_S, settings.tls))
    if settings.workitems.url:
        yield _workitems(settings)
    yield _clock(utc_now())


def _port(settings: Settings) -> Check:
    if not settings.tls.plain_port:
        return Check("port", "none without TLS")
    host, port = settings.node.host, settings.node.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            advice = "Change node.host to an address of this machine, or node.port to one that this user may open."
            return Check("port", f"{host}:{port} cannot be used ({error.strerror})", advice)
        remote = Remote("this node", settings.node.aet, host, port, settings.node.aet, timeout_s=OWN_ANSWER_S)
        try:
            ask_whether_there(remote)
        except PeerRefused:
            return Check("port", f"{host}:{port}: the node is running and answers, this machine is no peer")
        except PeerUnreachable:
            pass
        else:
            return Check("port", f"{host}:{port}: the node is running and answers")
        return Check(
            "port",
            f"{host}:{port} is taken, and no DICOM node answered there within {OWN_ANSWER_S:g} s",
            "The node hangs or is very busy: ask again, see `ichnode healthy` and its log. Or another program has the "
            "port (`ss -ltnp` names it): end that, or change node.port.",
        )
    return Check("port", f"{host}:{port} is free")


def _peers(settings: Settings) -> Check:
    if settings.peers:
        return Check("peers", f"{len(settings.peers)} allowed")
    if settings.node.host in ("127.0.0.1", "localhost", "::1"):
        return Check("peers", "loopback only")
    return Check(
        "peers",
        "none allowed",
        "node.host is not loopback, but without a [[peers]] entry every other machine is rejected.",
    )


def _tls(settings: Settings) -> Iterator[Check]:
    tls = settings.tls
    if tls.certificate:
        yield Check("tls", f"on port {tls.port}{'' if tls.plain_port else ' alone'}; more by ichnode doctor tls")
    for worry in worries(settings, utc_now()):
        yield Check(worry.setting, worry.code.lower(), worry.sentence)


def _pages(settings: Settings) -> Check:
    web = settings.web
    if not web.enabled:
        return Check("pages", "switched off")
    for file in filter(None, (web.certificate, web.certificate_key, web.proxy_secret_file)):
        if not os.access(file, os.R_OK):
            return Check("pages", f"{file} cannot be read", "Correct its path in [web], or its rights.")
    address = f"{'https' if web.certificate else 'http'}://{web.host}:{web.port}/"
    try:
        with existing_node(settings).worklist.read() as tx:
            anybody = accounts.any_account(tx)
    except PermanentError:
        return Check("pages", address)  # the worklist is not there yet, or the next check says what is wrong with it
    return Check("pages", address if anybody else f"{address}, nobody has an account: ichnode user add --help")


def _disk(settings: Settings) -> Check:
    folder = settings.node.data.resolve()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Check(
            "disk", f"{folder} cannot be written", "Give this user the right to write there, or set node.data."
        )
    usage = os.statvfs(folder)
    free = usage.f_bavail * usage.f_frsize
    low = settings.receive.low_disk_bytes
    remedy = (
        "" if free > low else f"Less than receive.low_disk_bytes ({low / GIB:.1f} GiB): slices are refused. Free space."
    )
    return Check("disk", f"{free / GIB:.1f} GiB free", remedy)


def _worklist(settings: Settings) -> Iterator[Check]:
    if not settings.database.url and not (settings.node.data / "worklist.sqlite").exists():
        yield Check("worklist", "not there yet; the node makes it when it starts")
        return
    try:
        node = existing_node(settings)
    except PermanentError as error:
        yield Check("worklist", "cannot be opened", error.sentence)
        return
    with node.worklist.read() as tx:
        counts = views.counts(tx)
    failed = {name: n for name, n in counts.items() if name.endswith(".failed")}
    remedy = "See `ichnode worklist`, then `ichnode retry`." if failed else ""
    yield Check("worklist", ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "empty", remedy)
    yield from _backlogs(node)
    yield from _alarms(node)
    yield from _tasks(node)


def _backlogs(node: Node) -> Iterator[Check]:
    for name in (*node.destinations, *(channel.name for channel in node.settings.channels)):
        with node.worklist.read() as tx:
            waiting, oldest = deliveries.backlog(tx, name)
            circuit = deliveries.circuit(tx, name)
        if waiting and oldest is not None:
            minutes = (node.now() - oldest).total_seconds() / 60
            remedy = f"It is down: {circuit.last_error}" if circuit.failures else ""
            yield Check(f"backlog {name}", f"{waiting} waiting, the oldest for {minutes:.0f} min", remedy)


def _alarms(node: Node) -> Iterator[Check]:
    with node.worklist.read() as tx:
        late = alarms.raised(tx, alarms.NO_RESULT)
        silent = alarms.raised(tx, alarms.SILENT_SENDER)
        not_fetched = retrievals.counts(tx)["failed"]
        circuits = (
            [deliveries.circuit(tx, name) for name in (LOOKING, FETCHING)] if node.settings.source.retrieve else []
        )
    if late:
        minutes = (node.now() - min(late.values())).total_seconds() / 60
        found = f"{len(late)} without a result, the oldest for {minutes:.0f} min"
        yield Check("overdue studies", found, "See `ichnode worklist`: what waits, and for what.")
    for aet, since in silent.items():
        hours = (node.now() - since).total_seconds() / 3600
        remedy = "Ask whether it is switched off, or its forwarding rule was changed."
        yield Check(f"sender {aet}", f"silent for {hours:.0f} h", remedy)
    if not_fetched:
        remedy = "`ichnode worklist` says which and why; `ichnode retry` fetches again."
        yield Check("not fetched", f"{not_fetched} series that the archive has", remedy)
    for name, circuit in zip(("looks at the source", "fetches from the source"), circuits, strict=False):
        if circuit.failures:
            yield Check(name, "it does not answer", circuit.last_error or "")


def _tasks(node: Node) -> Iterator[Check]:
    with node.worklist.read() as tx:
        in_hand = workitems.in_hand(tx)
    if in_hand:
        minutes = (node.now() - in_hand[0].offered_at).total_seconds() / 60
        found = f"{len(in_hand)} in hand, the oldest for {minutes:.0f} min"
        yield Check("work items", found, next((task.error for task in in_hand if task.error), ""))


def _workitems(settings: Settings) -> Check:
    section = settings.workitems
    try:
        next(ups_rs.search(ups_rs.workitems_remote(section, ANSWER_S), section.codes, section.station), None)
    except (PeerUnreachable, PeerRefused) as error:
        return Check("workitems", "does not answer", error.sentence)
    return Check("workitems", f"{section.url} answers a search")


def _decoders() -> Check:
    missing = sorted(set(COMPRESSED) - set(decodable_syntaxes()))
    remedy = f"Not decodable and refused at negotiation: {', '.join(missing)}. Reinstall ichnode." if missing else ""
    return Check("decoders", f"{len(decodable_syntaxes())} transfer syntaxes", remedy)


def _model(settings: Settings) -> Check:
    try:
        bundle = load_bundle(bundle_in_use(settings))
    except PermanentError as error:
        return Check("model", "cannot be used", error.sentence)
    return Check("model", f"{bundle.name} {bundle.version}, digest {bundle.digest[:12]}, research use only")


def _pool(settings: Settings) -> Iterator[Check]:
    if settings.engine.kind == "ray":
        from ichnode.steps.examine_pool import examine_pool

        yield examine_pool(settings)


def _destination(settings: Settings, number: int) -> Check:
    d = settings.destinations[number]
    remote = remote_of(d, settings.node.aet, ANSWER_S, settings.tls)
    check = _answers(f"destination {d.name}", remote)
    if check.remedy or not d.commitment or not isinstance(remote, Remote):
        return check
    try:
        ask_whether_it_commits(remote)
    except (PeerUnreachable, PeerRefused) as error:
        return Check(check.name, "does not commit itself to keep results", error.sentence)
    return Check(check.name, f"{check.found}, and takes requests for storage commitment")


def _channel(channel: ChannelSection) -> Check:
    name = f"channel {channel.name}"
    try:
        channels.reach(channel, ANSWER_S)
    except (PeerUnreachable, PeerRefused) as error:
        return Check(name, "cannot be reached", error.sentence)
    how = "names patients" if channel.patient_data else "without patient data"
    return Check(name, f"{channel.kind} at {channels.address_of(channel)} answers, {how}")


def _answers(name: str, remote: Remote | WebRemote) -> Check:
    try:
        ask_whether_there(remote)
    except (PeerUnreachable, PeerRefused) as error:
        return Check(name, "does not answer", error.sentence)
    return Check(name, f"{address_of(remote)} answers")


def _clock(now: datetime) -> Check:
    synchronised = Path("/run/systemd/timesync/synchronized").exists()
    built = Path(__file__).stat().st_mtime
    if now.timestamp() < built - 86400:
        return Check(
            "clock", now.isoformat(timespec="seconds"), "The clock is before this program was installed: set it."
        )
    said = "synchronised" if synchronised else "synchronisation not known"
    return Check("clock", f"{now.isoformat(timespec='seconds')} ({said})")
