"""Catch up: when the clock was set back, what waits must not wait for the time that comes a second time."""

from __future__ import annotations

from datetime import datetime

from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import clock

log = get_logger(__name__)


def catch_up(node: Node, seen_at: datetime) -> datetime:
    """Make what waits due when the clock is behind `seen_at`, its last reading; return its reading now."""
    now = node.now()
    if now < seen_at:
        with node.worklist.write() as tx:
            changed = clock.catch_up(tx, now)
        by_s = round((seen_at - now).total_seconds(), 3)
        log.warning("clock.set_back", by_s=by_s, rows=changed, remedy="let a time service keep the clock")
    return now
