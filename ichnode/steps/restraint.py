"""Restraint: what a running node remembers from one pass of retention to the next, so as not to remove too much."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import retention

AHEAD_S = 3600.0
"""So much more than the monotonic clock may the wall clock advance."""
BELIEVED_AFTER_S = 86400.0
"""A wall clock that was set forward and stays so is believed after that."""
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Gain:
    """An unlinking that did not raise the free space as it should have."""

    at: datetime
    free_bytes: int
    unlinked_bytes: int


class Restraint:
    """Why retention holds back, though the settings say that something should go.

    Attributes
    ----------
    refused : set of int
        Series that could not be marked; the rest goes without them.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.refused: set[int] = set()
        self._monotonic = monotonic
        self._begun: tuple[datetime, float] | None = None
        self._ahead_since: float | None = None
        self._missing: _Gain | None = None

    def unlinked(self, node: Node, free_before: int, unlinked_bytes: int) -> None:
        """Hold what was unlinked against what the disk says: snapshots, for one, keep what nobody sees any more."""
        if node.spool.free_bytes() < free_before + unlinked_bytes // 2:
            said = self._missing is not None
            self._missing = _Gain(node.now(), free_before, unlinked_bytes)
            if not said:
                log.warning(
                    "retention.unlinking_frees_nothing", unlinked_bytes=unlinked_bytes, free_bytes=free_before,
                    remedy="Nothing more is removed for the disk until its free space has grown. Remove snapshots of "
                    "the disk, or free space by hand.",
                )  # fmt: skip

    def disk_gains(self, node: Node) -> bool:
        """Tell whether purging helps: the last unlinking raised the free space, at once or by now."""
        if self._missing is None:
            return True
        with node.worklist.read() as tx:
            came = retention.bytes_since(tx, self._missing.at)
        if node.spool.free_bytes() + came < self._missing.free_bytes + self._missing.unlinked_bytes // 2:
            return False
        self._missing = None
        return True

    def clock_is_believed(self, node: Node) -> bool:
        """Tell whether age may be judged: not where the clock was set forward since the start, until a day later."""
        wall, steady = node.now(), self._monotonic()
        wall_then, steady_then = self._begun = self._begun or (wall, steady)
        ahead_s = (wall - wall_then).total_seconds() - (steady - steady_then)
        if ahead_s <= AHEAD_S:
            self._ahead_since = None
            return True
        if self._ahead_since is None:
            self._ahead_since = steady
            log.warning(
                "retention.clock_set_forward", ahead_s=round(ahead_s),
                remedy="Nothing goes because of its age for a day. Put the clock right; if it is right now, restart "
                "the node or wait.",
            )  # fmt: skip
        if steady - self._ahead_since < BELIEVED_AFTER_S:
            return False
        self._begun, self._ahead_since = (wall, steady), None
        return True
