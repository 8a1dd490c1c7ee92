"""Restraint: what a running node remembers from one pass of retention to the next, so as not to remove too much."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import retention

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

    def __init__(self) -> None:
        self.refused: set[int] = set()
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
