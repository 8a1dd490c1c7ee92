"""Commit: ask destinations whether they keep for good what they took, and learn from their answers (PS3.4 Annex J)."""

from __future__ import annotations

import uuid
from datetime import datetime

from ichnode.dicom.commitment import ask
from ichnode.dicom.destination import remote_of
from ichnode.dicom.event_reports import CommitmentReport
from ichnode.dicom.requestor import Remote
from ichnode.errors import BadObject, PeerRefused, PeerUnreachable
from ichnode.log import get_logger
from ichnode.sections import DestinationSection
from ichnode.steps.node import Node
from ichnode.worklist import commitments, deliveries
from ichnode.worklist.commitments import Patience, Request

SAME_ASSOCIATION_S = 2.0
"""How long an answer on the association of the question is waited for; most archives open another one."""
log = get_logger(__name__)


def commit_due(node: Node, destination: DestinationSection) -> datetime | None:
    """Ask a destination about everything that it was given and not yet asked about, many objects at a time.

    What it has not answered in time is asked again. While it does not answer at all (its circuit is open) nothing is
    asked. Not to be called twice at once for the same destination.

    Returns
    -------
    datetime or None
        When to look again; None when nothing waits.
    """
    name, policy = destination.name, node.settings.delivery
    while not node.draining.is_set():
        with node.worklist.read() as tx:
            open_until = deliveries.circuit(tx, name).open_until
            due = commitments.next_request_at(tx, name)
        if due is None or due > node.now():
            return due
        if open_until is not None and node.now() < open_until:
            return open_until
        _expire(node, name)
        # Committed before it is sent: an answer may come after a crash.
        with node.worklist.write() as tx:
            transaction_uid = f"2.25.{uuid.uuid4().int}"
            request = commitments.request(tx, node.now(), name, transaction_uid, policy.commitment_wait_s)
        if request is not None:
            _ask(node, destination, request)
    return None


def take_report(node: Node, report: CommitmentReport) -> None:
    """File what a destination says of a request; what was lost is sent again.

    Raises
    ------
    BadObject
        The transaction is not known, or was asked of another destination than of the one that answers.
    TransientError
        The worklist cannot be written.
    """
    with node.worklist.write() as tx:
        name = commitments.asked(tx, report.transaction_uid)
        if name is None:
            raise BadObject("The report is about a transaction that this node never asked for.", "TRANSACTION_UNKNOWN")
        if report.calling_aet not in [d.aet for d in node.settings.destinations if d.name == name]:
            raise BadObject(
                f"The report is about a request to {name}, and comes from another AE title: correct it there, or "
                "destinations.aet.",
                "TRANSACTION_OF_ANOTHER",
            )
        why = {uid: f"{name} {reason}." for uid, reason in report.lost.items()}
        kept, lost, unasked = commitments.answered(
            tx, node.now(), report.transaction_uid, report.kept, why, _patience(node)
        )
    log.info("commitment.answered", destination=name, committed=kept, lost=lost, unasked=unasked)


def _expire(node: Node, name: str) -> None:
    with node.worklist.write() as tx:
        expired = commitments.expire(tx, node.now(), name, _patience(node))
    if expired:
        log.warning(
            "commitment.unanswered", destination=name, objects=expired,
            remedy="Check that the destination knows the AE title, address and port of this node.",
        )  # fmt: skip


def _ask(node: Node, destination: DestinationSection, request: Request) -> None:
    def is_settled() -> bool:
        with node.worklist.read() as tx:
            return commitments.is_settled(tx, request.transaction_uid)

    remote = remote_of(destination, node.settings.node.aet, node.settings.delivery.timeout_s, node.settings.tls)
    assert isinstance(remote, Remote)  # the settings allow no other
    log.info("commitment.requested", destination=destination.name, objects=len(request.instances))
    try:
        ask(
            remote, request.transaction_uid, request.instances, lambda report: take_report(node, report), is_settled,
            SAME_ASSOCIATION_S,
        )  # fmt: skip
    except (PeerUnreachable, PeerRefused) as error:
        with node.worklist.write() as tx:
            commitments.not_taken(tx, node.now(), request.transaction_uid, error.sentence, _patience(node))
        log.warning("commitment.not_asked", destination=destination.name, code=error.code, remedy=error.sentence)


def _patience(node: Node) -> Patience:
    policy = node.settings.delivery
    return Patience(policy.first_retry_s, policy.longest_retry_s, policy.give_up_after_days * 86400)
