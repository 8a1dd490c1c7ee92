"""Recover: put yesterday's half-done work right before the port opens."""

from __future__ import annotations

from ichnode import __version__
from ichnode.core.reasons import because
from ichnode.errors import BadObject
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.steps.receive import adopt_file
from ichnode.worklist import associations, audit, clock, deliveries, jobs, receipts, relays, retrievals
from ichnode.worklist.relays import ATNA

log = get_logger(__name__)


def begin_boot(node: Node) -> str:
    """Record this start and return its identity; associations of older starts are lost."""
    with node.worklist.write() as tx:
        boot_id = associations.begin_boot(tx, node.now(), __version__)
        audit.record(tx, node.now(), "node", "node.started", version=__version__)
        if node.settings.audit.host:
            relays.begin(tx, ATNA, node.now())
    return boot_id


def end_boot(node: Node) -> None:
    """Record an orderly stop."""
    with node.worklist.write() as tx:
        associations.end_boot(tx, node.now(), node.boot_id)
        audit.record(tx, node.now(), "node", "node.stopped")


def recover(node: Node) -> None:
    """Free what older boots held, remove half-written files, adopt whole files that have no row."""
    freed = free_leases(node)
    with node.worklist.write() as tx:
        unsent = deliveries.release_sending(tx, node.now(), node.boot_id)
        retrievals.release(tx, node.now(), node.boot_id)
        clock.catch_up(tx, node.now())
    swept = node.spool.sweep_temporary()
    with node.worklist.read() as tx:
        known = receipts.known_files(tx)
    adopted = refused = 0
    for file, _ in node.spool.slices():
        if file in known:
            continue
        try:
            adopt_file(node, file)
            adopted += 1
        except BadObject as error:
            refused += 1
            log.error("spool.orphan", file=file, code=error.code, remedy="the file was never acknowledged and is kept")
    log.info("node.recovered", jobs=freed, deliveries=unsent, half_written=swept, adopted=adopted, unreadable=refused)


def free_leases(node: Node, dead_owner: str | None = None) -> int:
    """Free the jobs of dead workers; a series that used up its attempts is reported as not analysed."""
    with node.worklist.write() as tx:
        return jobs.release_leases(
            tx, node.now(), node.boot_id, node.settings.engine.max_attempts,
            because("ANALYSIS_FAILED", "every attempt ended its worker process"), dead_owner,
        )  # fmt: skip


def worker_ended(node: Node, owner: str) -> int:
    """Write down that the analysing worker has ended, and free its jobs; returns how many."""
    with node.worklist.write() as tx:
        associations.worker_is(tx, node.now(), node.boot_id, "ended")
    return free_leases(node, owner)
