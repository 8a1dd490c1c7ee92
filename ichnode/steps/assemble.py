"""Assemble: look at every series that is due and close it, ignore it with a reason, or wait for better evidence."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ichnode.core.completeness import Close, Evidence, Wait, decide
from ichnode.core.eligibility import Eligibility, SelectionPolicy, judge
from ichnode.core.findings import Warned
from ichnode.core.geometry import Geometry, measure, plausible, shortfall, whole
from ichnode.core.lifecycle import SeriesState
from ichnode.core.reasons import because
from ichnode.core.retry import backoff_s
from ichnode.core.selection import Candidate, at_best, choose, preference
from ichnode.core.slices import Slice
from ichnode.dicom.archive import series_count, source_remote
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.log import get_logger
from ichnode.steps.node import SOURCE, Node
from ichnode.worklist import assembly, deliveries
from ichnode.worklist.assembly import SeriesRow

OTHERS_ARRIVING = "another series of the study is still arriving"
NEXT_BEST_S = 0.2
SOURCE_TIMEOUT_S = 3.0  # every other series waits meanwhile
SOURCE_LONGEST_PAUSE_S = 300.0
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a series: what its headers say."""

    slices: tuple[Slice, ...]
    geometry: Geometry
    eligibility: Eligibility
    preference: dict[str, Any]


def assemble_due(node: Node, boot_at: datetime) -> datetime | None:
    """Decide about every series that is due.

    Returns
    -------
    datetime or None
        When the next one is due.
    """
    with node.worklist.read() as tx:
        due = assembly.due_series(tx, node.now())
    with ExitStack() as looks:  # a look that raises does not keep the others from being taken; it is raised at the end
        for row in reversed(due):  # last in, first out
            looks.callback(_decide, node, row, boot_at)
    with node.worklist.read() as tx:
        return assembly.next_due(tx)


def _decide(node: Node, row: SeriesRow, boot_at: datetime) -> None:
    with node.worklist.read() as tx:
        filed = assembly.filed_slices(tx, row.id)
        still_open, clean = assembly.association_evidence(tx, row.id)
        in_one = assembly.came_in_one(tx, row.id)
    look = look_at(tuple(f.slice for f in filed), node.selection)
    row = _count_at_source(node, row, look)
    extent_mm = node.settings.completeness.head_extent_mm
    evidence = Evidence(
        now=node.now(),
        boot_at=boot_at,
        last_slice_at=row.last_slice_at,
        longest_pause_s=row.longest_pause_s,
        received=row.received,
        expected=row.expected,
        count_is_fresh=row.expected_at is not None and row.expected_at >= row.last_slice_at,
        open_associations=still_open,
        released_cleanly=clean,
        whole=whole(look.geometry, extent_mm),
        plausible=plausible(look.geometry, extent_mm),
        rejection_settled=look.eligibility.settled and not look.eligibility.eligible,
        shortfall=shortfall(look.geometry, extent_mm),
        in_one=in_one,
    )
    decision = decide(evidence, node.completeness)
    if isinstance(decision, Wait):
        until = decision.until
        if node.settings.source.is_named and not evidence.rejection_settled:
            until = min(until, evidence.now + timedelta(seconds=node.settings.source.ask_every_s))
        with node.worklist.write() as tx:
            assembly.postpone(tx, row, until, decision.because, look.preference)
        return
    _close(node, row, look, decision)


def look_at(slices: tuple[Slice, ...], policy: SelectionPolicy) -> Look:
    """Measure and judge a series by all of its headers."""
    geometry = measure(slices)
    eligibility = judge(slices, geometry, policy)
    could_win = eligibility.eligible or not eligibility.settled
    rank = list(preference(slices, geometry)) if slices else []
    return Look(slices, geometry, eligibility, {"could_win": could_win, "rank": rank})


def _close(node: Node, row: SeriesRow, look: Look, decision: Close) -> None:
    now = node.now()
    report_all = node.settings.report.not_analysed == "every-series"
    with node.worklist.read() as tx:
        remnant = assembly.is_remnant(tx, row)
    # A few slices say less than the whole that was read: nothing supersedes its answer.
    reason = because("REMNANT") if remnant else _rejection(row, look)
    if reason is not None:
        with node.worklist.write() as tx:
            done = assembly.ignore(
                tx, now, row, decision.because, reason, look.preference, report_all, answer_stands=remnant
            )
        _tell(done, row, reason.code)
        return
    until = _waits_until(node, now, row, decision, look)
    with node.worklist.write() as tx:
        others = assembly.siblings(tx, row)
        if now < until:
            assembly.postpone(tx, row, until, OTHERS_ARRIVING, look.preference)
            if row.waiting_for != OTHERS_ARRIVING:  # from now on nobody waits for this one
                assembly.wake_siblings(tx, now, row)
            return
        chosen = next((s for s in others if s.id == assembly.chosen_series(tx, row.study_id)), None)
        rank = (chosen.preference or {}).get("rank", ()) if chosen is not None else ()
        if chosen is not None and not _better(row, decision, look, chosen.id, chosen.missing is None, rank):
            done = assembly.ignore(
                tx, now, row, decision.because, because("ANOTHER_SERIES_CHOSEN"), look.preference, report_all
            )
            outcome = "ANOTHER_SERIES_CHOSEN"
        else:
            done = assembly.close(tx, now, row, decision.because, decision.missing, look.preference)
            outcome = "analyse"
            if done and chosen is not None and chosen.state == SeriesState.CLOSED:
                assembly.outrank(tx, now, chosen, because("ANOTHER_SERIES_CHOSEN"), report_all)
                # `outrank` forgets its own choice only; ours stands.
    _tell(done, row, outcome)


def _tell(done: bool, row: SeriesRow, outcome: str) -> None:
    if done:
        log.info("series.closed", series=row.id, revision=row.revision, slices=row.received, outcome=outcome)


def _rejection(row: SeriesRow, look: Look) -> Warned | None:
    if not look.slices:
        return because(
            "CONFLICTING_INSTANCE", "every instance has a SOP Instance UID that other content came under before"
        )
    if look.eligibility.eligible:
        return None
    assert look.eligibility.reason is not None
    return look.eligibility.reason


def _waits_until(node: Node, now: datetime, row: SeriesRow, decision: Close, look: Look) -> datetime:
    """Return until when a series that could be closed waits for others of its study that may be read in its place.

    It waits for those that are still arriving and may turn out better, until they have been quiet; of those that are
    ready like itself the best goes first. When one is closed, the others are due at once.
    """
    times = node.settings.completeness
    until = now
    for rival, rank in _rivals(node, row):
        ready = rival.waiting_for == OTHERS_ARRIVING
        if _better(row, decision, look, rival.id, True, rank if ready else at_best(tuple(rank))):
            continue
        # A little longer than it takes the rival itself to be quiet: then it is closed, and the choice made once.
        quiet = rival.last_slice_at + timedelta(seconds=times.quiet_s + times.settle_s)
        until = max(until, now + timedelta(seconds=NEXT_BEST_S) if ready else quiet)
    return min(until, row.last_slice_at + timedelta(seconds=times.max_wait_s))


def _rivals(node: Node, row: SeriesRow) -> list[tuple[SeriesRow, Sequence[float]]]:
    """Return the other series of the study that are arriving and not ruled out by their headers, with their rank."""
    found = []
    with node.worklist.read() as tx:
        for sibling in assembly.siblings(tx, row):
            if sibling.state != SeriesState.RECEIVING:
                continue
            said = sibling.preference
            if said is None:  # its slices come too fast for a look of its own
                slices = tuple(f.slice for f in assembly.filed_slices(tx, sibling.id))
                said = look_at(slices, node.selection).preference
            if said["could_win"] and said["rank"]:
                found.append((sibling, said["rank"]))
    return found


def _better(
    row: SeriesRow, decision: Close, look: Look, other_id: int, other_is_whole: bool, other_rank: Sequence[float]
) -> bool:
    """Whether a series is read rather than the other: a whole one before a partial one, then by preference."""
    ours = Candidate(row.id, (float(decision.missing is None), *look.preference["rank"]))
    theirs = Candidate(other_id, (float(other_is_whole), *other_rank))
    return choose([ours, theirs]).chosen == row.id


def _count_at_source(node: Node, row: SeriesRow, look: Look) -> SeriesRow:
    source = node.settings.source
    if not source.is_named or (look.eligibility.settled and not look.eligibility.eligible):
        return row
    now = node.now()
    fresh = row.expected_at is not None and row.expected_at >= row.last_slice_at
    if fresh and row.expected_at is not None and now < row.expected_at + timedelta(seconds=source.ask_every_s):
        return row
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, SOURCE)
    if circuit.open_until is not None and now < circuit.open_until:
        return row
    remote = source_remote(source, node.settings.node.aet, SOURCE_TIMEOUT_S, node.settings.tls)
    try:
        expected = series_count(remote, row.study_instance_uid, row.series_instance_uid)
    except (PeerUnreachable, PeerRefused) as error:
        delay_s = backoff_s(circuit.failures + 1, source.ask_every_s, SOURCE_LONGEST_PAUSE_S)
        with node.worklist.write() as tx:
            deliveries.break_circuit(tx, now, SOURCE, error.sentence, delay_s)
        log.warning("source.silent", code=error.code, again_in_s=delay_s, remedy=error.sentence)
        return row
    with node.worklist.write() as tx:
        deliveries.close_circuit(tx, now, SOURCE)
        assembly.record_count(tx, now, row, expected)
    return assembly.with_count(row, expected, now)
