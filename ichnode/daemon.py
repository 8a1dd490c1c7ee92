"""The composition root: builds the node from its settings and owns every process, thread, signal and tick."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import FrameType
from typing import IO, TypeAlias

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from ichnode.config import Settings, changed_sections, check_reload
from ichnode.dicom.scp import StoreScp
from ichnode.errors import ConfigError, TransientError
from ichnode.log import configure, get_logger
from ichnode.pulling import pull_ticks
from ichnode.receivers import Receivers
from ichnode.receiving import receiver
from ichnode.retraining import schedule_retraining
from ichnode.service import ServiceManager
from ichnode.shadowing import ShadowProcess
from ichnode.steps.announce import announce_due
from ichnode.steps.assemble import assemble_due
from ichnode.steps.catch_up import catch_up
from ichnode.steps.certificates import EVERY_S as CERTIFICATES_S
from ichnode.steps.certificates import watch_certificates
from ichnode.steps.commit import commit_due
from ichnode.steps.company import Company, is_alone
from ichnode.steps.deliver import deliver_due
from ichnode.steps.node import Node, open_node
from ichnode.steps.notify import notify_due
from ichnode.steps.prune import prune_due, sweep_due
from ichnode.steps.recover import begin_boot, end_boot, free_leases, look_through_spool, recover, worker_ended
from ichnode.steps.relay_audit import relay_audit
from ichnode.steps.report import report_next
from ichnode.steps.restraint import Restraint
from ichnode.steps.retract import reject_next
from ichnode.supervision import WorkerProcess
from ichnode.tick import Tick, end_ticks
from ichnode.web.server import WebServer
from ichnode.worklist import jobs

DRAIN_S = 30.0
LONGEST_DRAIN_S = 120.0
"""After this a node that still drains is no longer called alive; TimeoutStopSec of the unit says the same."""
CLOCK_S = 1.0
_GOES_ON = "The node goes on as it was."
OTHERS_S = 300.0  # what other nodes put into a spool that is shared is theirs for so long
PRUNE_S, SWEEP_S = 60.0, 3600.0
Listening: TypeAlias = Callable[[int | None, int | None], None]
"""Told the port without TLS and the one with it."""
log = get_logger(__name__)


class Daemon:
    """One running node.

    Parameters
    ----------
    settings : Settings
    reread : callable, optional
        Reads the configuration anew, for SIGHUP.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Settings] | None = None) -> None:
        self._settings = settings
        self._reread = reread
        self._stop, self._ended, self._hangup = threading.Event(), threading.Event(), threading.Event()
        self._next: Settings | None = None
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
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._asked_to_stop)
            if self._reread is not None:
                signal.signal(signal.SIGHUP, lambda *_: self._hangup.set())
            before: Settings | None = None
            while not self._ended.is_set():
                try:
                    self._live(listening, pages)
                except ConfigError as error:
                    if before is None:
                        raise
                    log.error("config.rejected", code=error.code, remedy=f"{error.sentence} {_GOES_ON}")
                    self._settings, before = before, None
                else:
                    if self._next is None:
                        break
                    before, self._settings, self._next = self._settings, self._next, None
                configure(self._settings.log.level, self._settings.log.format)
                if not self._ended.is_set():
                    self._stop.clear()
            log.info("node.stopped")

    def _live(self, listening: Listening, pages: Callable[[str], None]) -> None:
        """Serve by the settings as they are, until asked to stop or to begin anew by others."""
        node = open_node(self._settings)
        try:
            node = replace(node, boot_id=begin_boot(node))
            recover(node)
            begun = time.time() - (0 if is_alone(node) else OTHERS_S)
            web = WebServer(node, pages) if self._settings.web.enabled else None
            self._serve(node, listening, web, partial(look_through_spool, node, begun))
            end_boot(node)
        finally:
            node.decoders.close()
            node.worklist.dispose()

    def stop(self) -> None:
        """Ask the node to drain and end."""
        self._ended.set()
        self._stop.set()

    def _reload(self) -> None:
        """Read the configuration anew; what cannot be used changes nothing."""
        assert self._reread is not None
        try:
            settings = self._reread()
            check_reload(self._settings, settings)
        except ConfigError as error:
            configure(self._settings.log.level, self._settings.log.format)
            log.error("config.rejected", code=error.code, remedy=f"{error.sentence} {_GOES_ON}")
            return
        changed = changed_sections(self._settings, settings)
        log.info("config.reloaded", sections=changed)
        if set(changed) <= {"log"}:
            self._settings = settings
            configure(settings.log.level, settings.log.format)
        else:
            self._next = settings
            self._stop.set()

    def _serve(self, node: Node, listening: Listening, web: WebServer | None, look_through: Callable[[], None]) -> None:
        boot_at, outlets = node.now(), (*self._settings.destinations, *self._settings.channels)
        company = Company(node)
        pull = pull_ticks(node, company)
        threads = ThreadPoolExecutor(8 + 2 * len(outlets) + len(pull))
        scheduler = BackgroundScheduler(executors={"default": threads}, timezone="UTC")
        committing = [d for d in self._settings.destinations if d.commitment]
        commit = [Tick(f"commit {d.name}", company.led(partial(commit_due, node, d))) for d in committing]
        deliver = [Tick(f"deliver {d.name}", partial(deliver_due, node, d)) for d in self._settings.destinations]
        notify = [Tick(f"notify {c.name}", company.led(partial(notify_due, node, c))) for c in self._settings.channels]
        announce = Tick("announce", partial(announce_due, node))

        def deliver_all() -> None:
            for tick in (*deliver, announce):
                tick.wake()

        def died(owner: str) -> None:
            if worker_ended(node, owner):
                report.wake()

        worker = WorkerProcess(node, died, lambda word: deliver_all() if word == "done" else None)

        def make_reports() -> None:
            while not node.draining.is_set() and (report_next(node) or reject_next(node)):
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

        restraint = Restraint()
        shadow = ShadowProcess(node, company.leads)
        report = Tick("report", make_reports)
        ticks = [Tick("assemble", assemble), report, Tick("leases", watch_leases, 5.0), announce, *deliver, *commit]
        ticks += [*notify, Tick("shadow", shadow.look, 5.0), *pull]
        ticks += [
            Tick("prune", company.led(partial(prune_due, node, restraint)), PRUNE_S),
            Tick("sweep", company.led(partial(sweep_due, node, restraint)), SWEEP_S),
            Tick("certificates", partial(watch_certificates, node), CERTIFICATES_S),
        ]
        if node.worklist.is_shared:
            company.beat()  # before a peer may call: from now on the others count on this node
            ticks.append(Tick("company", company.beat, company.beat_s))
        if self._settings.audit.host:
            ticks.append(Tick("audit", company.led(partial(relay_audit, node)), 2.0))
        scp = receiver(node, ticks[0].wake)
        others = Receivers(node, ticks[0].wake)
        for tick in ticks:
            tick.join(scheduler)
        schedule_retraining(node, scheduler, self._stop, company.leads)
        ports = self._open_ports(scp)
        others.start(*ports)
        scheduler.start()
        Tick("spool", look_through).join_once(scheduler)
        worker.start()
        listening(*ports)
        self._service.ready(f"{self._settings.node.aet} listens on {self._settings.node.host}:{ports[0] or ports[1]}")
        if web is not None:
            web.start()
        self._watch_clock(node, ticks)
        if self._next is None:
            self._service.stopping()
        else:
            self._service.reloading()
        with self._service.alive_for(LONGEST_DRAIN_S):
            node.draining.set()
            if web is not None:
                web.drain()
            log.info("node.draining", associations=scp.active_associations())
            others.drain()
            if not scp.drain(DRAIN_S):
                log.warning("node.drain_incomplete", remedy="associations were still open and are aborted now")
            scp.stop()
            others.stop(DRAIN_S)
            if web is not None:
                web.stop()
            end_ticks(scheduler, threads)
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
            if self._hangup.is_set():
                self._hangup.clear()
                self._reload()
                continue
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

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop()

    def _locked_folder(self) -> IO[bytes]:
        folder = self._settings.node.data.resolve()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = self._settings.place
        file = (folder / (f"node.{place}.lock" if place else "node.lock")).open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ConfigError(
                f"Another node uses {folder}. Stop it first, or set node.data to another folder"
                + (
                    f"; several nodes on one database.url need a node.name each, this one is {place}." if place else "."
                ),
                "DATA_IN_USE",
            ) from None
        return file
