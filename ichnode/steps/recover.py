"""Recover: put yesterday's half-done work right before the port opens, and the spool while it is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from ichnode import __version__
from ichnode.core.reasons import because
from ichnode.errors import BadObject, FileRemoved
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.steps.receive import adopt_file
from ichnode.worklist import audit, boots, clock, deliveries, jobs, receipts, relays, retrievals
from ichnode.worklist.relays import ATNA

T = TypeVar("T")
AT_ONCE = 500
"""Files of the spool that are looked up in one statement."""
log = get_logger(__name__)


def begin_boot(node: Node) -> str:
    """Record this start and return its identity; associations of older starts are lost."""
    with node.worklist.write() as tx:
        boot_id = boots.begin_boot(tx, node.now(), __version__, node.settings.place)
        audit.record(tx, node.now(), "node", "node.started", version=__version__)
        if node.settings.audit.host:
            relays.begin(tx, ATNA, node.now())
    return boot_id


def end_boot(node: Node) -> None:
    """Record an orderly stop."""
    with node.worklist.write() as tx:
        boots.end_boot(tx, node.now(), node.boot_id)
        audit.record(tx, node.now(), "node", "node.stopped")


def recover(node: Node) -> None:
    """Free what older boots held. It costs the same whatever the spool holds: that is looked through afterwards."""
    freed, unsent = take_over(node)
    with node.worklist.write() as tx:
        clock.catch_up(tx, node.now())
    log.info("node.recovered", jobs=freed, deliveries=unsent)


def look_through_spool(node: Node, before: float | None = None) -> None:
    """Adopt whole files that have no row, remove half-written ones, a page at a time while the node is at work.

    Parameters
    ----------
    before : float or None
        Seconds since the epoch: what was written later is left alone, as its row may be about to be written.
    """
    adopted = refused = 0
    for page in batched(node.spool.slices(before)):
        with node.worklist.read() as tx:
            known = receipts.known_files(tx, [file for file, _ in page])
        for file, _ in page:
            if file in known:
                continue
            try:
                adopt_file(node, file)
                adopted += 1
            except BadObject as error:
                refused += 1
                remedy = "the file was never acknowledged and is kept"
                log.error("spool.orphan", file=file, code=error.code, remedy=remedy)
            except (FileNotFoundError, FileRemoved):
                continue  # retention was faster
        if node.draining.is_set():
            return
    swept = node.spool.sweep_temporary()
    log.info("spool.looked_through", half_written=swept, adopted=adopted, unreadable=refused)


def batched(found: Iterable[T], size: int = AT_ONCE) -> Iterator[list[T]]:
    """Yield pages of what is found."""
    rest = iter(found)
    while page := list(islice(rest, size)):
        yield page


def take_over(node: Node) -> tuple[int, int]:
    """Free what boots held that live no more; returns the numbers of jobs and of deliveries."""
    freed = free_leases(node)
    with node.worklist.write() as tx:
        living = {node.boot_id, *boots.living(tx, node.now(), node.settings.database.silent_s)}
        unsent = deliveries.release_sending(tx, node.now(), but_of=living)
        retrievals.release(tx, node.now(), living)
    return freed, unsent


def free_leases(node: Node, dead_owner: str | None = None) -> int:
    """Free the jobs of dead workers; a series that used up its attempts is reported as not analysed."""
    with node.worklist.write() as tx:
        living = {node.boot_id, *boots.living(tx, node.now(), node.settings.database.silent_s)}
        return jobs.release_leases(
            tx, node.now(), living, node.settings.engine.max_attempts,
            because("ANALYSIS_FAILED", "every attempt ended its worker process"), dead_owner,
        )  # fmt: skip


def worker_ended(node: Node, owner: str) -> int:
    """Write down that the analysing worker has ended, and free its jobs; returns how many."""
    with node.worklist.write() as tx:
        boots.worker_is(tx, node.now(), node.boot_id, "ended")
    return free_leases(node, owner)
