"""Company: several nodes on one worklist and one data folder. Each says that it is there; one of them leads."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.steps.recover import take_over
from ichnode.worklist import boots

T = TypeVar("T")
log = get_logger(__name__)


class Company:
    """What this node knows of the others that share its worklist.

    Two may lead for a moment, when one stood still for longer than it is waited for: what the leader does is guarded in
    the worklist like everything else, and done twice costs a question too many, never an answer.
    """

    def __init__(self, node: Node, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._silent_s = node.settings.database.silent_s
        self._monotonic = monotonic
        self._leads_until = 0.0
        self._led = False

    @property
    def beat_s(self) -> float:
        """How often to say that this node is there: a few times before it would be missed."""
        return self._silent_s / 6

    def beat(self) -> None:
        """Say that this node is there; take over what those held that are there no more."""
        node, begun = self._node, self._monotonic()
        with node.worklist.write() as tx:
            was_dead, dead = boots.beat(tx, node.now(), node.boot_id, self._silent_s)
            leads = boots.living(tx, node.now(), self._silent_s)[:1] == [node.boot_id]
        self._leads_until = begun + self._silent_s if leads else 0.0
        if was_dead:
            log.warning("node.was_missed", remedy="Others took this node for dead, and what it held. See its load.")
        if dead:
            freed = take_over(node)
            remedy = "A node that shares this database is gone: see whether it should be."
            log.warning("node.taken_over", nodes=len(dead), jobs=freed[0], deliveries=freed[1], remedy=remedy)
        if leads != self._led:
            log.info("node.leads" if leads else "node.follows")
        self._led = leads

    def leads(self) -> bool:
        """Tell whether this node does what only one may do."""
        return not self._node.worklist.is_shared or self._monotonic() < self._leads_until

    def led(self, act: Callable[[], T]) -> Callable[[], T | None]:
        """Return `act` as it is while this node leads, and nothing otherwise."""
        return partial(self._when_leading, act)

    def _when_leading(self, act: Callable[[], T]) -> T | None:
        return act() if self.leads() else None


def is_alone(node: Node) -> bool:
    """Tell whether no other node is there."""
    with node.worklist.read() as tx:
        return set(boots.living(tx, node.now(), node.settings.database.silent_s)) <= {node.boot_id}
