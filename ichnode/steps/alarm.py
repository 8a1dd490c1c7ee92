"""Alarm: what should have been answered by now, and who should have sent; said once, and taken back by the facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import alarms

log = get_logger(__name__)


def watch(node: Node) -> None:
    """Raise the alarms that are due, and clear those whose reason is gone."""
    source, now = node.settings.source, node.now()
    hours = {peer.aet: peer.silent_after_h for peer in node.settings.peers if peer.silent_after_h}
    with node.worklist.read() as tx:
        late = alarms.without_result(tx, now, source.alarm_minutes, source.look_back_h) if source.alarm_minutes else {}
        silent = alarms.silent_senders(tx, now, hours)
    _settle(node, alarms.NO_RESULT, late)
    _settle(node, alarms.SILENT_SENDER, silent)


def _settle(node: Node, kind: str, due: Mapping[str, datetime]) -> None:
    with node.worklist.read() as tx:
        raised = alarms.raised(tx, kind)
    for subject in raised.keys() - due.keys():
        with node.worklist.write() as tx:
            alarms.clear_alarm(tx, node.now(), kind, subject)
    for subject in sorted(due.keys() - raised.keys()):
        with node.worklist.write() as tx:
            alarms.raise_alarm(tx, node.now(), kind, subject, due[subject])
        minutes = round((node.now() - due[subject]).total_seconds() / 60)
        with node.worklist.read() as tx:
            number = alarms.study_number(tx, subject)
        if kind == alarms.NO_RESULT:
            remedy = "see `ichnode worklist` and `ichnode doctor`: who waits for what"
            log.error("study.overdue", study=number, minutes=minutes, remedy=remedy)
        else:
            remedy = "ask whether it is switched off, or its rule was changed; else peers.silent_after_h is too short"
            log.error("sender.silent", sender=subject, minutes=minutes, remedy=remedy)
