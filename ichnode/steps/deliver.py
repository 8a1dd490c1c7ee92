"""Deliver: send what is due to one destination, and learn from its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from ichnode.core.identity import digest_of
from ichnode.core.retry import backoff_s
from ichnode.dicom.destination import ask_whether_there, give, remote_of
from ichnode.dicom.store_answers import Alternatives, StoreAnswer
from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable
from ichnode.log import get_logger
from ichnode.reporting.formats import FORMATS
from ichnode.reporting.recast import recast, recast_uid
from ichnode.sections import DestinationSection
from ichnode.steps.node import Node
from ichnode.worklist import deliveries
from ichnode.worklist.deliveries import Delivery

_SR_CLASS = {
    "comprehensive": ComprehensiveSRStorage,
    "comprehensive-3d": Comprehensive3DSRStorage,
    "enhanced": EnhancedSRStorage,
}
log = get_logger(__name__)


def deliver_due(node: Node, destination: DestinationSection) -> datetime | None:
    """Send everything that is due to a destination, the most urgent first.

    While the destination does not answer (its circuit is open) nothing is attempted; when the pause is over a C-ECHO,
    or a query over the web, asks whether it is back, so that a dead peer costs one question and not one attempt per
    object. The circuit closes when objects could be offered: a destination that answers questions and lets none in is
    called less and less often too.

    Not to be called twice at once for the same destination.

    Returns
    -------
    datetime or None
        When to look again; None when nothing waits.
    """
    name = destination.name
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, name)
        interrupted = deliveries.is_sending(tx, name)
    if interrupted:  # by an error in the middle of the call before this one
        with node.worklist.write() as tx:
            deliveries.release_sending(tx, node.now(), destination=name)
    with node.worklist.read() as tx:
        due = deliveries.next_delivery_at(tx, name)
    if due is None:
        return None
    if circuit.open_until is not None:
        if node.now() < circuit.open_until:
            return max(due, circuit.open_until)
        if not _answers(node, destination):
            return deliver_again_at(node, name)
    while True:
        with node.worklist.write() as tx:
            claimed = deliveries.claim_deliveries(tx, node.now(), name, node.boot_id)
        if not claimed:
            return deliver_again_at(node, name)
        if not _send(node, destination, claimed):
            return deliver_again_at(node, name)


def deliver_again_at(node: Node, name: str) -> datetime | None:
    """Return when something for a destination is due next; None when nothing waits."""
    with node.worklist.read() as tx:
        due = deliveries.next_delivery_at(tx, name)
        open_until = deliveries.circuit(tx, name).open_until
    if due is None or open_until is None:
        return due
    return max(due, open_until)


def _answers(node: Node, destination: DestinationSection) -> bool:
    try:
        ask_whether_there(remote_of(destination, node.settings.node.aet, node.settings.delivery.timeout_s))
    except (PeerUnreachable, PeerRefused) as error:
        _break(node, destination.name, error)
        return False
    return True


def _send(node: Node, destination: DestinationSection, claimed: list[Delivery]) -> bool:
    by_path = {node.spool.path(d.file): d for d in claimed}
    remote = remote_of(destination, node.settings.node.aet, node.settings.delivery.timeout_s)
    lost: PeerUnreachable | PeerRefused | None = None
    try:
        answers = give(remote, list(by_path), None, _alternatives(node, destination, by_path))
    except (PeerUnreachable, PeerRefused) as error:
        lost = error
        answers = [StoreAnswer(path, None, error.sentence, True) for path in by_path]
    for answer in answers:
        _file_answer(node, by_path[answer.path], answer)
    if lost is not None:
        _break(node, destination.name, lost)
        return False
    answered = any(answer.status is not None for answer in answers)
    with node.worklist.write() as tx:
        if answered or deliveries.circuit(tx, destination.name).failures:
            deliveries.close_circuit(tx, node.now(), destination.name)
    return True


def _alternatives(node: Node, destination: DestinationSection, by_path: Mapping[Path, Delivery]) -> Alternatives:
    """Let the peer choose among the SOP Classes of each object; what it chooses is recorded before it is sent."""

    def recast_to(path: Path, sop_class: str) -> Path:
        content = recast(path.read_bytes(), sop_class)
        file = node.spool.put_report(content, digest_of(content))
        instance = recast_uid(by_path[path].sop_instance_uid, sop_class)
        with node.worklist.write() as tx:
            deliveries.recast(tx, node.now(), by_path[path], sop_class, instance, file, len(content))
        return node.spool.path(file)

    return Alternatives({path: _liked_classes(d.kind, destination) for path, d in by_path.items()}, recast_to)


def _liked_classes(kind: str, destination: DestinationSection) -> Sequence[str]:
    """Return the SOP Classes that can carry a format, the one that the destination likes best first."""
    possible = FORMATS[kind].sop_classes if kind in FORMATS else ()
    liked = _SR_CLASS[destination.sr_class] if kind == "sr" else None
    return sorted(possible, key=lambda sop_class: sop_class != liked)


def _file_answer(node: Node, delivery: Delivery, answer: StoreAnswer) -> None:
    policy, name = node.settings.delivery, delivery.destination
    with node.worklist.write() as tx:
        if answer.error is None and answer.status is not None:
            deliveries.accepted(tx, node.now(), delivery, answer.status)
        elif answer.transient:
            delay_s = backoff_s(delivery.attempts, policy.first_retry_s, policy.longest_retry_s)
            deliveries.try_again(
                tx, node.now(), delivery, answer.status, answer.error or "", delay_s,
                policy.give_up_after_days * 86400,
            )  # fmt: skip
        else:
            deliveries.refused(tx, node.now(), delivery, answer.status, answer.error or "")
    if answer.error is None:
        log.info("delivery.accepted", destination=name, series=delivery.series_id, status=answer.status)
    else:
        log.warning(
            "delivery.again" if answer.transient else "delivery.refused", destination=name, series=delivery.series_id,
            status=answer.status, remedy=answer.error,
        )  # fmt: skip


def _break(node: Node, name: str, lost: PeerUnreachable | PeerRefused) -> None:
    policy, error = node.settings.delivery, lost.sentence
    asked_for_s = min(lost.again_in_s, policy.longest_retry_s) if isinstance(lost, PeerBusy) else 0.0
    with node.worklist.write() as tx:
        failures = deliveries.circuit(tx, name).failures + 1
        delay_s = max(asked_for_s, backoff_s(failures, policy.first_retry_s, policy.longest_retry_s))
        deliveries.break_circuit(tx, node.now(), name, error, delay_s)
        given_up = deliveries.give_up(tx, node.now(), name, error, policy.give_up_after_days * 86400)
    log.warning("destination.down", destination=name, again_in_s=delay_s, remedy=error, given_up=given_up)
