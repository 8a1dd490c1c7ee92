"""The composition root: builds the node from its settings and owns every process, thread, signal and tick."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import FrameType
from typing import IO, TypeAlias

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from ichnode.config import Settings
from ichnode.dicom.access import PROVIDER_BUSY, Peer, Refusal, Reporter, allowed_peer
from ichnode.dicom.scp import Received, ScpLimits, StoreScp
from ichnode.dicom.secure import Identity, SecurePort
from ichnode.dicom.syntaxes import STORAGE_CLASSES, decodable_syntaxes
from ichnode.errors import ConfigError, TransientError
from ichnode.log import get_logger
from ichnode.pulling import pull_ticks
from ichnode.retraining import schedule_retraining
from ichnode.service import ServiceManager
from ichnode.shadowing import ShadowProcess
from ichnode.steps.announce import announce_due
from ichnode.steps.assemble import assemble_due
from ichnode.steps.catch_up import catch_up
from ichnode.steps.certificates import EVERY_S as CERTIFICATES_S
from ichnode.steps.certificates import watch_certificates
from ichnode.steps.commit import commit_due, take_report
from ichnode.steps.deliver import deliver_due
from ichnode.steps.node import Node, open_node
from ichnode.steps.notify import notify_due
from ichnode.steps.prune import prune_due, sweep_due
from ichnode.steps.receive import receive_slice
from ichnode.steps.recover import begin_boot, end_boot, free_leases, recover
from ichnode.steps.relay_audit import relay_audit
from ichnode.steps.report import report_next
from ichnode.steps.retract import reject_next
from ichnode.supervision import WorkerProcess
from ichnode.tick import Tick
from ichnode.web.server import WebServer
from ichnode.worklist import associations, jobs

DRAIN_S = 30.0
CLOCK_S = 1.0
PRUNE_S, SWEEP_S = 60.0, 3600.0
Listening: TypeAlias = Callable[[int | None, int | None], None]
"""Told the port without TLS and the one with it."""
log = get_logger(__name__)


class Daemon:
    """One running node.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._service = ServiceManager(os.environ)

    def run(self, listening: Listening, pages: Callable[[str], None] = lambda address: None) -> None:
        """Run until SIGTERM or SIGINT, then drain.

        Parameters
        ----------
        listening : callable
            Told the port without TLS and the one with it, once peers may call.
        pages : callable
            Told the address of the pages once a browser may open it.

        Raises
        ------
        ConfigError
            Another node uses the data folder, or the port cannot be opened.
        """
        with self._locked_folder():
            node = open_node(self._settings)
            node = replace(node, boot_id=begin_boot(node))
            recover(node)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._asked_to_stop)
            web = WebServer(node, pages) if self._settings.web.enabled else None
            self._serve(node, listening, web)
            end_boot(node)
            node.decoders.close()
            node.worklist.dispose()
            log.info("node.stopped")

    def stop(self) -> None:
        """Ask the node to drain and end."""
        self._stop.set()

    def _serve(self, node: Node, listening: Listening, web: WebServer | None) -> None:
        boot_at, outlets = node.now(), (*self._settings.destinations, *self._settings.channels)
        pull = pull_ticks(node)
        threads = ThreadPoolExecutor(8 + 2 * len(outlets) + len(pull))
        scheduler = BackgroundScheduler(executors={"default": threads}, timezone="UTC")
        committing = [d for d in self._settings.destinations if d.commitment]
        commit = [Tick(f"commit {d.name}", partial(commit_due, node, d)) for d in committing]
        deliver = [Tick(f"deliver {d.name}", partial(deliver_due, node, d)) for d in self._settings.destinations]
        notify = [Tick(f"notify {c.name}", partial(notify_due, node, c)) for c in self._settings.channels]
        announce = Tick("announce", partial(announce_due, node))

        def deliver_all() -> None:
            for tick in (*deliver, announce):
                tick.wake()

        def died(owner: str) -> None:
            if free_leases(node, owner):
                report.wake()

        worker = WorkerProcess(node, died, lambda word: deliver_all() if word == "done" else None)

        def make_reports() -> None:
            while report_next(node) or reject_next(node):
                deliver_all()

        def assemble() -> datetime | None:
            again_at = assemble_due(node, boot_at)
            worker.hint()
            report.wake()
            return again_at

        def watch_leases() -> None:
            with node.worklist.read() as tx:
                overdue = jobs.overdue_owners(tx, node.now())
            worker.end_if_overdue(overdue)
            if overdue and free_leases(node):
                report.wake()

        shadow = ShadowProcess(node)
        report = Tick("report", make_reports)
        ticks = [Tick("assemble", assemble), report, Tick("leases", watch_leases, 5.0), announce, *deliver, *commit]
        ticks += [*notify, Tick("shadow", shadow.look, 5.0), *pull]
        ticks += [
            Tick("prune", partial(prune_due, node), PRUNE_S),
            Tick("sweep", partial(sweep_due, node), SWEEP_S),
            Tick("certificates", partial(watch_certificates, node), CERTIFICATES_S),
        ]
        if self._settings.audit.host:
            ticks.append(Tick("audit", partial(relay_audit, node), 2.0))
        scp = self._receiver(node, ticks[0])
        for tick in ticks:
            tick.join(scheduler)
        schedule_retraining(node, scheduler, self._stop)
        ports = self._open_ports(scp)
        scheduler.start()
        worker.start()
        listening(*ports)
        self._service.ready(f"{self._settings.node.aet} listens on {self._settings.node.host}:{ports[0] or ports[1]}")
        if web is not None:
            web.start()
        self._watch_clock(node, ticks)
        self._service.stopping()
        if web is not None:
            web.drain()
        log.info("node.draining", associations=scp.active_associations())
        if not scp.drain(DRAIN_S):
            log.warning("node.drain_incomplete", remedy="associations were still open and are aborted now")
        scp.stop()
        if web is not None:
            web.stop()
        scheduler.shutdown(wait=True)
        shadow.stop()
        worker.stop(DRAIN_S)

    def _open_ports(self, scp: StoreScp) -> tuple[int | None, int | None]:
        try:
            return scp.start()
        except OSError as error:
            section = self._settings.node
            why = os.strerror(error.errno) if error.errno else error
            raise ConfigError(
                f"Cannot listen on {section.host}:{error.filename}: {why}. "
                "End the program that has the port, or set node.host, node.port or tls.port.",
                "PORT",
            ) from error

    def _watch_clock(self, node: Node, ticks: list[Tick]) -> None:
        """Wait until asked to stop. When the clock is set back meanwhile, what is due is due by the new time."""
        seen_at = node.now()
        while not self._stop.wait(CLOCK_S):
            self._say_alive(ticks[0])
            try:
                seen_at, before = catch_up(node, seen_at), seen_at
            except TransientError as error:
                log.warning("clock.not_caught_up", code=error.code, remedy=error.sentence)
                continue
            if seen_at < before:
                for tick in ticks:
                    tick.join_again()

    def _say_alive(self, assemble: Tick) -> None:
        """Tell the watchdog while series are looked after: a node that only breathes is to be started again."""
        watchdog_s = self._service.watchdog_s
        if watchdog_s is not None and assemble.silent_s() < watchdog_s / 2:
            self._service.alive()

    def _receiver(self, node: Node, assemble: Tick) -> StoreScp:
        receive, tls = self._settings.receive, self._settings.tls
        committing = [d for d in self._settings.destinations if d.commitment]

        def opened(peer: Peer) -> int:
            with node.worklist.write() as tx:
                return associations.open_association(tx, node.now(), node.boot_id, peer.address, peer.calling_aet)

        def ended(association_id: int, how: str) -> None:
            with node.worklist.write() as tx:
                touched = associations.end_association(tx, node.now(), association_id, how)
            if touched:
                assemble.wake()

        def store(received: Received) -> int:
            return receive_slice(node, received)

        def accepting() -> Refusal | None:
            if node.spool.below(receive.disk_floor_bytes):
                return Refusal(
                    *PROVIDER_BUSY, "DISK_FULL", "The spool's disk is below receive.disk_floor_bytes: free space there."
                )
            return None

        return StoreScp(
            self._settings.node.aet,
            self._settings.node.host,
            self._settings.node.port if tls.plain_port else None,
            limits=ScpLimits(
                max_associations=receive.max_associations,
                per_peer_associations=receive.associations_per_peer,
                max_pdu_bytes=receive.max_pdu_bytes,
                max_dataset_bytes=receive.max_dataset_bytes,
                acse_timeout_s=receive.request_timeout_s,
                network_timeout_s=receive.idle_timeout_s,
                dimse_timeout_s=receive.idle_timeout_s,
                socket_timeout_s=receive.stall_timeout_s,
            ),
            allowed=[allowed_peer(p) for p in self._settings.peers],
            storage_classes=STORAGE_CLASSES,
            syntaxes=decodable_syntaxes(),
            store=store,
            opened=opened,
            ended=ended,
            accepting=accepting,
            reporters=[Reporter(d.aet, d.host) for d in committing],
            reported=partial(take_report, node) if committing else None,
            tls_port=tls.port,
            secure=self._secure_port(),
        )

    def _secure_port(self) -> SecurePort | None:
        tls = self._settings.tls
        if not tls.certificate:
            return None
        return SecurePort(Identity(tls.certificate, tls.key, tls.ca_file), tls.require_certificate)

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _locked_folder(self) -> IO[bytes]:
        folder = self._settings.node.data.resolve()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / "node.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ConfigError(
                f"Another node uses {folder}. Stop it first, or set node.data to another folder.", "DATA_IN_USE"
            ) from None
        return file
