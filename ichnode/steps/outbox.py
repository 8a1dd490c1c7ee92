"""Outbox: give what is due to one destination or channel, and learn from what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ichnode.core.retry import backoff_s
from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import deliveries
from ichnode.worklist.deliveries import Delivery

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one delivery.

    Attributes
    ----------
    status : int or None
        Of the protocol, where it has numbers and there was an answer.
    error : str or None
        Sentence; None when it was taken.
    transient : bool
        Whether to try again.
    remark : str
        Something that a person should look at although it was taken.
    """

    delivery: Delivery
    status: int | None
    error: str | None
    transient: bool
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Outlet:
    """A destination or a channel, as the outbox needs it.

    Attributes
    ----------
    name : str
    ask : callable
        Asks whether it is there; raises `PeerUnreachable` or `PeerRefused` where it is not.
    give : callable
        Gives it deliveries; returns one answer for each that was offered, all of them unless the node began to drain
        meanwhile, or raises as `ask` where it took nothing.
    most : int
        Deliveries given at once. One, where each has to have its own attempts and pauses.
    """

    name: str
    ask: Callable[[], None]
    give: Callable[[Sequence[Delivery]], Sequence[Answer]]
    most: int = 50


def empty(node: Node, outlet: Outlet) -> datetime | None:
    """Give an outlet everything that is due, the most urgent first.

    While it does not answer (its circuit is open) nothing is attempted; when the pause is over it is asked whether it
    is back, so that a dead peer costs one question and not one attempt per delivery. The circuit closes when something
    could be offered: a peer that answers questions and takes nothing is called less and less often too.

    Not to be called twice at once for the same outlet.

    Returns
    -------
    datetime or None
        When to look again; None when nothing waits, or when the node drains.
    """
    name = outlet.name
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, name)
        interrupted = deliveries.is_sending(tx, name, node.boot_id)
    if interrupted:  # by an error in the middle of the call before this one
        with node.worklist.write() as tx:
            deliveries.release_sending(tx, node.now(), of=node.boot_id, destination=name)
    with node.worklist.read() as tx:
        due = deliveries.next_delivery_at(tx, name)
    if due is None:
        return None
    if circuit.open_until is not None:
        if node.now() < circuit.open_until:
            return max(due, circuit.open_until)
        if not _answers(node, outlet):
            return due_again_at(node, name)
    while not node.draining.is_set():
        with node.worklist.write() as tx:
            claimed = deliveries.claim_deliveries(tx, node.now(), name, node.boot_id, outlet.most)
        if not claimed:
            return due_again_at(node, name)
        if not _send(node, outlet, claimed):
            return due_again_at(node, name)
    return None


def due_again_at(node: Node, name: str) -> datetime | None:
    """Return when something for an outlet is due next; None when nothing waits."""
    with node.worklist.read() as tx:
        due = deliveries.next_delivery_at(tx, name)
        open_until = deliveries.circuit(tx, name).open_until
    if due is None or open_until is None:
        return due
    return max(due, open_until)


def _answers(node: Node, outlet: Outlet) -> bool:
    try:
        outlet.ask()
    except (PeerUnreachable, PeerRefused) as error:
        _break(node, outlet.name, error)
        return False
    return True


def _send(node: Node, outlet: Outlet, claimed: Sequence[Delivery]) -> bool:
    lost: PeerUnreachable | PeerRefused | None = None
    try:
        answers = outlet.give(claimed)
    except (PeerUnreachable, PeerRefused) as error:
        lost = error
        answers = [Answer(delivery, None, error.sentence, True) for delivery in claimed]
    for answer in answers:
        _file_answer(node, answer)
    offered = {answer.delivery.id for answer in answers}
    with node.worklist.write() as tx:
        for delivery in claimed:
            if delivery.id not in offered:
                deliveries.put_back(tx, node.now(), delivery)
    if lost is not None:
        _break(node, outlet.name, lost)
        return False
    answered = any(answer.status is not None or answer.error is None for answer in answers)
    with node.worklist.write() as tx:
        if answered or deliveries.circuit(tx, outlet.name).failures:
            deliveries.close_circuit(tx, node.now(), outlet.name)
    return True


def _file_answer(node: Node, answer: Answer) -> None:
    policy, delivery = node.settings.delivery, answer.delivery
    name = delivery.destination
    with node.worklist.write() as tx:
        if answer.error is None:
            deliveries.accepted(tx, node.now(), delivery, answer.status)
        elif answer.transient:
            delay_s = backoff_s(delivery.attempts, policy.first_retry_s, policy.longest_retry_s)
            deliveries.try_again(
                tx, node.now(), delivery, answer.status, answer.error, delay_s, policy.give_up_after_days * 86400
            )
        else:
            deliveries.refused(tx, node.now(), delivery, answer.status, answer.error)
    if answer.remark:
        log.warning("delivery.remarked", destination=name, series=delivery.series_id, remedy=answer.remark)
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
