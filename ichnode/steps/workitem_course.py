"""The course of a work item that is this node's: what its worklist hears of it, until its end."""

from __future__ import annotations

from datetime import timedelta

from pydicom.dataset import Dataset

from ichnode.core.reasons import because
from ichnode.core.retry import backoff_s
from ichnode.core.workitem import (
    CANCELED,
    COMPLETED,
    IN_PROGRESS,
    SCHEDULED,
    CodedEntry,
    Completed,
    Discontinued,
    Progress,
    judged,
)
from ichnode.dicom import ups_rs
from ichnode.dicom.ups_rs import Said, workitems_remote
from ichnode.dicom.workitem_json import discontinued, performed, progress
from ichnode.https import WebRemote
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.workitems_section import coded_entry
from ichnode.worklist import workitem_standing, workitems
from ichnode.worklist.workitems import Task

OWN_SCHEME = "99ICHNODE"
"""Designator of the code that names this node where `workitems.station` does not: its AE title."""
_MOST_REFUSALS = 8
"""After so many an end is given up: with the shortest and longest pauses as they come, after some twenty minutes."""
_CODE_SAYS = "docs/reasons.md says what the code means; the service has the whole sentence"
"""The sentence itself may say where an item has its input, in words from outside."""
log = get_logger(__name__)


def go_on(node: Node, task: Task) -> None:
    """Tell how far it is, where that is news; end it once its results are delivered, or there are none.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    with node.worklist.read() as tx:
        how = judged(workitem_standing.stands(tx, workitems.inputs_of(tx, task), _places(node)))
    is_refused = task.refused >= _MOST_REFUSALS
    if isinstance(how, Completed) and is_refused:
        how = Discontinued(because("ENDING_REFUSED"))
    if isinstance(how, Progress):
        if how.words == task.told:
            return None
        state, said = IN_PROGRESS, tell(node, task, how)
    else:
        state = COMPLETED if isinstance(how, Completed) else CANCELED
        said = ups_rs.update(service_of(node), task.workitem_uid, task.transaction_uid, _ending(node, task, how))
        if said is Said.DONE:
            said = change(node, task, state)
    if said is Said.CONFLICT:
        found = ups_rs.retrieve(service_of(node), task.workitem_uid)
        if found is None:
            said = Said.GONE
        elif found.state == state:  # told before, and the answer was lost; or progress that it does not want to know
            said = Said.DONE
        elif found.state not in (IN_PROGRESS, ""):
            other = found.state if found.state in (SCHEDULED, COMPLETED, CANCELED) else "something else"
            return lose(node, task, f"the service has it as {other}")
    if said is Said.DONE:
        return _record(node, task, how)
    if said is Said.GONE:
        return lose(node, task, "it is gone")
    if said is Said.CONFLICT and is_refused:
        return lose(node, task, "the service takes no end of it")
    error = f"The service does not take it as {state}: look at its log."
    return put_off(node, task, error, is_refused=said is Said.CONFLICT)


def _record(node: Node, task: Task, how: Progress | Completed | Discontinued) -> None:
    now = node.now()
    with node.worklist.write() as tx:
        if isinstance(how, Progress):
            workitems.tell(tx, now, task, how.words)
        elif isinstance(how, Completed):
            workitems.complete(tx, now, task, len(how.outputs))
        else:
            workitems.cancel(tx, now, task, how.reason)
    if isinstance(how, Completed):
        log.info("workitem.completed", workitem=task.id, outputs=len(how.outputs))
    elif isinstance(how, Discontinued):
        log.warning("workitem.canceled", workitem=task.id, code=how.reason.code, remedy=_CODE_SAYS)


def _ending(node: Node, task: Task, how: Completed | Discontinued) -> Dataset:
    settings, now = node.settings, node.now()
    if isinstance(how, Discontinued):
        return discontinued(how.reason, now)
    station = settings.workitems.station
    own = coded_entry(station) if station else CodedEntry(settings.node.aet, OWN_SCHEME)
    return performed(how.outputs, _places(node), own, task.codes, task.claimed_at or now, now)


def _places(node: Node) -> dict[str, tuple[str, str]]:
    """Return where output can be had: destination → AE title and address, one of them empty."""
    return {d.name: (d.aet, d.url) for d in node.settings.destinations}


def tell(node: Node, task: Task, how: Progress) -> Said:
    """Tell the service how far it is."""
    return ups_rs.update(service_of(node), task.workitem_uid, task.transaction_uid, progress(how))


def change(node: Node, task: Task, state: str) -> Said:
    """Ask the service to have it in another state."""
    requester = node.settings.workitems.requester
    return ups_rs.change_state(service_of(node), task.workitem_uid, task.transaction_uid, state, requester)


def service_of(node: Node) -> WebRemote:
    """Return the service as the wire needs it."""
    section = node.settings.workitems
    return workitems_remote(section, section.timeout_s)


def put_off(node: Node, task: Task, error: str, *, is_refused: bool = False) -> None:
    """Try it again later, the later the more often it was in vain."""
    delay_s = delay_after(node, task.attempts + 1)
    with node.worklist.write() as tx:
        workitems.put_off(tx, task, error, node.now() + timedelta(seconds=delay_s), is_refused=is_refused)
    log.warning("workitem.put_off", workitem=task.id, again_in_s=delay_s, remedy=error)


def lose(node: Node, task: Task, why: str) -> None:
    """Leave it alone; where it is scheduled again, or still, for a while, the longer the more often it was refused."""
    not_before = node.now() + timedelta(seconds=delay_after(node, task.attempts + 1))
    with node.worklist.write() as tx:
        workitems.lose(tx, node.now(), task, why, not_before)
    log.warning("workitem.lost", workitem=task.id, remedy=f"{why}; the node leaves it alone")


def delay_after(node: Node, attempts: int) -> float:
    """Return the seconds until the next attempt."""
    section = node.settings.workitems
    return backoff_s(attempts, section.first_retry_s, section.longest_retry_s)
