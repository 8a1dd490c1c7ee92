"""What readers do to a study, from a form or by JSON: in the audit journal stands what changed something, no more."""

from __future__ import annotations

from ichnode.core.feedback import Feedback
from ichnode.steps.node import Node
from ichnode.web.visitor import Visitor
from ichnode.worklist import audit, feedback, readings


def give_feedback(node: Node, visitor: Visitor, study_id: int, result_id: int, given: Feedback) -> int:
    """Keep what a reader says of an answer; returns its key."""
    with node.worklist.write() as tx:
        number = feedback.give(tx, node.now(), visitor.name, result_id, given)
        audit.record(tx, node.now(), visitor.name, "feedback.given", study_id, visitor.address, result=result_id)
    return number


def take_feedback_back(node: Node, visitor: Visitor, study_id: int, result_id: int) -> bool:
    """Take back what a reader said of an answer; False when nothing of it stood."""
    with node.worklist.write() as tx:
        done = feedback.take_back(tx, node.now(), visitor.name, result_id)
        if done:
            what = "feedback.taken_back"
            audit.record(tx, node.now(), visitor.name, what, study_id, visitor.address, result=result_id)
    return done


def sign_off(node: Node, visitor: Visitor, study_id: int, seen: int | None, state: str | None) -> str:
    """Mark a study as read by whoever saw its newest answer, `seen`, and its `state`; returns who has read it."""
    with node.worklist.write() as tx:
        before = readings.read_by(tx, study_id)
        reader = readings.sign_off(tx, node.now(), visitor.name, study_id, seen, state)
        if before is None and reader == visitor.name:
            audit.record(tx, node.now(), visitor.name, "study.signed_off", study_id, visitor.address)
    return reader


def make_unread(node: Node, visitor: Visitor, study_id: int) -> bool:
    """Make a study unread again; False when it was not read."""
    with node.worklist.write() as tx:
        done = readings.put_back(tx, node.now(), visitor.name, study_id)
        if done:
            audit.record(tx, node.now(), visitor.name, "study.unread", study_id, visitor.address)
    return done
