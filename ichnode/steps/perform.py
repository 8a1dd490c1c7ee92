"""Perform: claim work items that are meant for this node, and tell their worklist how far they are and how they end.

Each item is a row before the service hears of it, under a Transaction UID that is drawn once: whatever breaks off in
between goes on under the same one. What an item asks for is fetched, analysed and delivered by the ways of all series.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

from ichnode.core.wanted import Listed
from ichnode.core.workitem import IN_PROGRESS, Progress, Workitem
from ichnode.dicom import ups_rs
from ichnode.dicom.ups_rs import Said
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.https import WebRemote
from ichnode.log import get_logger
from ichnode.steps.node import WORKITEMS, Node
from ichnode.steps.reconcile import Wish, reconcile
from ichnode.steps.workitem_course import change, delay_after, go_on, lose, put_off, service_of, tell
from ichnode.workitems_section import coded_entry
from ichnode.worklist import deliveries, retrievals, workitems
from ichnode.worklist.workitems import Task

_MOST_SEEN = 200
"""Items of one look that may be claimed; a worklist of more is looked at again as soon as there is room."""
log = get_logger(__name__)


def perform_due(node: Node) -> None:
    """Go on with what is in hand, and claim more where there is room and it is time to look."""
    now = node.now()
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, WORKITEMS)
        tasks = workitems.due(tx, now)
    if node.draining.is_set() or (circuit.open_until is not None and now < circuit.open_until):
        return
    try:
        for task in tasks:
            if node.draining.is_set():
                return
            _one_step(node, task)
        last = circuit.last_success_at
        every = timedelta(seconds=node.settings.workitems.look_every_s)
        if last is None or circuit.failures or not last <= now < last + every:
            _look(node)
            with node.worklist.write() as tx:
                deliveries.close_circuit(tx, node.now(), WORKITEMS)
    except (PeerUnreachable, PeerRefused) as error:
        delay_s = delay_after(node, circuit.failures + 1)
        with node.worklist.write() as tx:
            deliveries.break_circuit(tx, node.now(), WORKITEMS, error.sentence, delay_s)
        log.warning("workitems.silent", code=error.code, again_in_s=delay_s, remedy=error.sentence)


def _one_step(node: Node, task: Task) -> None:
    try:
        if task.state == "offered":
            _claim(node, task, is_first=False)
        elif task.state == "claimed":
            _begin(node, task)
        else:
            go_on(node, task)
    except (PeerUnreachable, PeerRefused) as error:
        put_off(node, task, error.sentence)  # so that the next one is tried first
        raise


def _look(node: Node) -> None:
    """Claim the most urgent of what is scheduled for this node, as far as there is room."""
    section, service = node.settings.workitems, service_of(node)
    with node.worklist.read() as tx:
        room = section.at_once - len(workitems.in_hand(tx))
    if room <= 0:
        return
    for found in sorted(_scheduled(node, service), key=lambda one: one.rank):
        if node.draining.is_set():
            return
        whole = ups_rs.retrieve(service, found.uid)
        if whole is not None and not whole.state:
            log.warning("workitem.unreadable", remedy="the service's answer on it cannot be read: look at its log")
        if whole is None or not _is_for_here(node, whole):
            continue
        with node.worklist.write() as tx:
            task = workitems.offer(tx, node.now(), whole, f"2.25.{uuid.uuid4().int}")
        if task is None:
            continue
        room -= _claim(node, task, is_first=True)
        if not room:
            return


def _scheduled(node: Node, service: WebRemote) -> Iterator[Workitem]:
    section = node.settings.workitems
    seen: set[str] = set()
    for found in ups_rs.search(service, section.codes, section.station):
        if node.draining.is_set():
            return
        if found.uid in seen:
            continue
        with node.worklist.read() as tx:
            is_settled = bool(workitems.settled(tx, node.now(), [found.uid]))
        if is_settled:
            continue
        seen.add(found.uid)
        yield found
        if len(seen) >= _MOST_SEEN:
            return


def _is_for_here(node: Node, found: Workitem) -> bool:
    section = node.settings.workitems
    station = coded_entry(section.station) if section.station else None
    return found.is_for([coded_entry(code) for code in section.codes], station)


def _claim(node: Node, task: Task, *, is_first: bool) -> bool:
    """Claim it; returns whether it is in hand, and takes up room.

    Where a second attempt is refused it may be this node's: the answer to the first was lost.
    """
    said = change(node, task, IN_PROGRESS)
    if said is Said.CONFLICT and not is_first:
        said = tell(node, task, Progress(0, "Claimed"))
    if said is Said.DONE:
        with node.worklist.write() as tx:
            workitems.claim(tx, node.now(), task)
        log.info("workitem.claimed", workitem=task.id)
    elif said is Said.BROKEN:
        put_off(node, task, "The service failed over it: look at its log.")
    else:
        lose(node, task, "another performer has it, or it was canceled" if said is Said.CONFLICT else "it is gone")
        return False
    return True


def _begin(node: Node, task: Task) -> None:
    """Have what it asks for fetched, as far as it is not here; what was given up before gets its attempts anew.

    It may have been changed until it was claimed, and is read once more.
    """
    found = ups_rs.retrieve(service_of(node), task.workitem_uid)
    if found is None:
        return lose(node, task, "it is gone")
    if not found.state:
        return put_off(node, task, "The service's answer on it cannot be read: look at its log.")
    with node.worklist.write() as tx:
        workitems.ask_anew(tx, task, found)
        inputs = workitems.inputs_of(tx, task)
    for one in inputs:
        listed = Listed(one.study_instance_uid, one.series_instance_uid, images=one.images)
        with node.worklist.read() as tx:
            known = retrievals.of_series(tx, one.study_instance_uid, one.series_instance_uid)
        if known is not None and known.state == "failed":
            with node.worklist.write() as tx:
                retrievals.retry(tx, node.now(), [one.study_instance_uid])
        reconcile(node, listed, Wish(retrievals.SHOULD_HAVE_COME, None, 0.0))
    with node.worklist.write() as tx:
        workitems.begin(tx, node.now(), task)
    return None
