"""Prune: what is old, or more than the disk holds, is marked as purged and then unlinked; see docs/administrator.md.

Killed anywhere, it goes on where it was: what is marked has its files in `removals`, and none of these is adopted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from ichnode.core.test_set import TEST
from ichnode.errors import PermanentError
from ichnode.log import get_logger
from ichnode.steps.labels import patient_digest
from ichnode.steps.node import Node
from ichnode.steps.report import installation_id
from ichnode.steps.restraint import Restraint
from ichnode.storage.holding import unlinking
from ichnode.worklist import forgetting, lab, retention
from ichnode.worklist.retention import Candidate, Rule

AT_ONCE = 64
"""Files that are unlinked in one transaction: slices that come meanwhile wait for it."""
MOST = 500
"""Series that are purged in one go."""
STRAY_S = 86400.0
"""A report or heat map that no row names for so long belongs to an attempt that was cut short."""
TEACHES, JUDGES = "teaches models", "judges models"
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What retention would do now.

    Attributes
    ----------
    series : tuple of (Candidate, str)
        To be purged, and why: ``age`` or ``disk``.
    held : dict
        How many series are old enough and stay, by what holds them.
    missing_bytes : int
        How many bytes are still too few when all that has been done.
    """

    series: tuple[tuple[Candidate, str], ...] = ()
    held: dict[str, int] = field(default_factory=dict)
    missing_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that the purge frees."""
        return sum(one.bytes for one, _ in self.series)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done."""

    series: int = 0
    files: int = 0
    bytes: int = 0
    forgotten: int = 0


def sweep_due(node: Node, restraint: Restraint) -> None:
    """Remove what attempts that were cut short left behind."""
    if restraint.clock_is_believed(node):
        sweep_strays(node)


def prune_due(node: Node, restraint: Restraint) -> None:
    """Do what is due, and say so."""
    done = prune(node, restraint)
    if done != Pruned():
        log.info(
            "retention.pruned", series=done.series, files=done.files, bytes=done.bytes,
            studies_forgotten=done.forgotten,
        )  # fmt: skip


def plan(node: Node, restraint: Restraint | None = None) -> Plan:
    """Say what is to be purged now: by age, and as much as the disk needs, the oldest first.

    What holds others back is counted for a person who asks (without a `restraint`), and where the disk stays full: of
    a million series that takes half a minute.

    As long as files that are marked wait to be unlinked, or unlinking does not help, the disk asks for nothing more.
    """
    section, now = node.settings.retention, node.now()
    watermark = max(section.free_bytes, node.settings.receive.low_disk_bytes * 5 // 4) if section.free_bytes else 0
    wanted = max(0, watermark - node.spool.free_bytes())
    if wanted and (_is_marked(node) or (restraint and not restraint.disk_gains(node))):
        wanted = 0
    ages = section.images_days and (restraint is None or restraint.clock_is_believed(node))
    if not ages and not wanted:
        return Plan()
    days = section.least_days if wanted else section.images_days
    rule = _rule(node, days)
    by_age = now - timedelta(days=section.images_days) if ages else None
    parts = _parts(node)
    chosen: list[tuple[Candidate, str]] = []
    freed, kept = 0, dict.fromkeys((TEACHES, JUDGES), 0)
    with node.worklist.read() as tx:
        for one in retention.candidates(tx, rule):
            is_old = by_age is not None and one.last_slice_at <= by_age
            if len(chosen) == MOST or not (is_old or freed < wanted):
                break
            if restraint and one.id in restraint.refused:
                continue
            part = parts.get(patient_digest(node_id(node), one.patient_id, one.study_instance_uid)) if parts else None
            if part == TEST or (part is not None and section.keep_labelled):
                kept[JUDGES if part == TEST else TEACHES] += 1
                continue
            chosen.append((one, "age" if is_old else "disk"))
            freed += one.bytes
        held = retention.held(tx, rule) if restraint is None or freed < wanted else {}
    held |= {name: number for name, number in kept.items() if number}
    return Plan(tuple(chosen), held, max(0, wanted - freed))


def prune(node: Node, restraint: Restraint | None = None) -> Pruned:
    """Unlink what is marked, mark what the plan names, unlink that, forget what is older still.

    Parameters
    ----------
    restraint : Restraint or None
        What is remembered of the passes before; None: nothing.
    """
    restraint = restraint or Restraint()
    left = _unlink(node)
    planned = plan(node, restraint)
    purged = 0
    for one, because in planned.series:
        rule = _rule(node, node.settings.retention.images_days if because == "age" else _least(node))
        try:
            with node.worklist.write() as tx:
                purged += retention.purge(tx, node.now(), one, rule, because)
        except PermanentError as error:
            restraint.refused.add(one.id)
            log.error("retention.series_stays", series=one.id, code=error.code, remedy=f"{error.sentence} Report this.")
    if planned.missing_bytes:
        log.warning(
            "retention.disk_stays_full", missing_bytes=planned.missing_bytes, held=planned.held,
            remedy="What is left may not be removed: see `ichnode prune --dry-run`, or free space by hand.",
        )  # fmt: skip
    free_before = node.spool.free_bytes()
    files, freed = _unlink(node)
    if freed and any(because == "disk" for _, because in planned.series):
        restraint.unlinked(node, free_before, freed)
    return Pruned(purged, left[0] + files, left[1] + freed, _forget(node) if restraint.clock_is_believed(node) else 0)


def node_id(node: Node) -> str:
    """Return the identity of this installation, under which patients have their digests."""
    return installation_id(node.settings.node.data.resolve())


def _is_marked(node: Node) -> bool:
    with node.worklist.read() as tx:
        return retention.is_marked(tx)


def _least(node: Node) -> float:
    return node.settings.retention.least_days


def _rule(node: Node, days: float) -> Rule:
    committing = [d.name for d in node.settings.destinations if d.commitment]
    return Rule(node.now() - timedelta(days=days), committing, node.settings.retention.keep_labelled)


def _parts(node: Node) -> dict[str, str]:
    with node.worklist.read() as tx:
        return lab.parts(tx)


def _unlink(node: Node) -> tuple[int, int]:
    """Unlink what is marked; the rows of the marks go in the same transaction, after the files."""
    if not _is_marked(node):
        return 0, 0
    with unlinking(node.settings.node.data.resolve()) as free:
        return _unlink_all(node) if free else (0, 0)  # while a backup is made the marks wait


def _unlink_all(node: Node) -> tuple[int, int]:
    files = freed = 0
    while True:
        with node.worklist.write() as tx:
            taken, unused = retention.take_removals(tx, AT_ONCE)
            freed += node.spool.discard(*unused)
        files += len(unused)
        if taken < AT_ONCE or node.draining.is_set():
            return files, freed


def sweep_strays(node: Node) -> int:
    """Remove the reports and heat maps of attempts that were cut short; returns how many."""
    swept = 0
    found = node.spool.made_before(node.now().timestamp() - STRAY_S)
    while names := list(islice(found, AT_ONCE)):
        with node.worklist.write() as tx:
            strays = retention.unnamed(tx, names)
            node.spool.discard(*strays)
        swept += len(strays)
    if swept:
        log.info("retention.swept", files=swept)
    return swept


def _forget(node: Node) -> int:
    days = node.settings.retention.records_days
    if not days:
        return 0
    since, forgotten = node.now() - timedelta(days=days), 0
    with node.worklist.read() as tx:
        studies = forgetting.forgettable(tx, since)
    for study_id in studies:
        with node.worklist.write() as tx:
            if forgetting.forgettable(tx, since, only=study_id):  # nothing came meanwhile
                forgetting.forget(tx, node.now(), study_id)
                forgotten += 1
    return forgotten
