"""Announce: which channels have to be told of what; and of what nobody has read."""

from __future__ import annotations

from datetime import datetime

from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import notices

log = get_logger(__name__)


def announce_due(node: Node) -> datetime | None:
    """File a notice for each channel that has to hear of a changed answer, and the escalations that are due.

    Not to be called twice at once.

    Returns
    -------
    datetime or None
        When to look again; None when nothing waits.
    """
    rules = {channel.name: channel.rule for channel in node.settings.channels}
    ladders = {channel.name: channel.ladder for channel in node.settings.channels}
    while not node.draining.is_set():
        with node.worklist.read() as tx:
            due = notices.next_look_at(tx)
        if due is None or due > node.now():
            return due
        with node.worklist.write() as tx:
            filed = notices.announce(tx, node.now(), rules, ladders)
        if filed is None:
            with node.worklist.write() as tx:
                filed = notices.escalate(tx, node.now(), ladders)
        for one in filed or ():
            log.info("notice.filed", study=one.study_id, channel=one.channel, kind=one.kind, call=one.called)
    return None
