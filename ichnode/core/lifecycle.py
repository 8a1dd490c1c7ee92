"""States and transitions as data. An event that is not listed for a state raises and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class SeriesState(StrEnum):
    """Where a series is."""

    RECEIVING = "receiving"
    CLOSED = "closed"
    IGNORED = "ignored"
    PURGED = "purged"  # its images were removed, its answers stay


class JobState(StrEnum):
    """Where an analysis is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class DeliveryState(StrEnum):
    """Where one object for one destination is."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    AWAITING = "awaiting"  # asked whether it is kept for good: storage commitment, PS3.4 Annex J
    COMMITTED = "committed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class RetrievalState(StrEnum):
    """Where one series is that is fetched from the archive."""

    PENDING = "pending"
    FETCHING = "fetching"
    FETCHED = "fetched"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class OrderState(StrEnum):
    """Where an order to fetch is: a backfill, or the priors of a patient."""

    OPEN = "open"
    DONE = "done"
    STOPPED = "stopped"


class WorkitemState(StrEnum):
    """Where a work item is that the node performs for others."""

    OFFERED = "offered"  # about to be claimed, under a Transaction UID that is written down
    CLAIMED = "claimed"
    WORKING = "working"  # its input is here, or ordered from the archive
    COMPLETED = "completed"
    CANCELED = "canceled"
    LOST = "lost"  # another performer has it, or it is gone


class ModelState(StrEnum):
    """What a model is to this node. At most one is active, and at most one is a shadow."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"
    REJECTED = "rejected"


class IllegalTransition(Exception):
    """The event does not belong to the state."""


Transitions = Mapping[tuple[str, str], str]

SERIES: Transitions = {
    ("receiving", "slice"): "receiving",
    ("receiving", "close"): "closed",
    ("receiving", "ignore"): "ignored",
    ("closed", "slice"): "receiving",
    ("ignored", "slice"): "receiving",
    ("closed", "outranked"): "ignored",
    ("ignored", "reconsider"): "receiving",
    ("closed", "purge"): "purged",
    ("ignored", "purge"): "purged",
    ("purged", "slice"): "receiving",
}
JOB: Transitions = {
    ("queued", "claim"): "running",
    ("running", "finish"): "done",
    ("running", "try_again"): "queued",
    ("running", "fail"): "failed",
    ("queued", "supersede"): "superseded",
    ("running", "supersede"): "superseded",
    ("failed", "supersede"): "superseded",
    ("failed", "retry"): "queued",
    ("done", "queue_again"): "queued",
    ("failed", "queue_again"): "queued",
    ("superseded", "queue_again"): "queued",
}
DELIVERY: Transitions = {
    ("pending", "claim"): "sending",
    ("sending", "accepted"): "delivered",
    ("sending", "try_again"): "pending",
    ("sending", "refused"): "failed",
    ("pending", "give_up"): "failed",
    ("failed", "retry"): "pending",
    ("pending", "withdraw"): "withdrawn",
    ("failed", "withdraw"): "withdrawn",
    ("sending", "drop"): "withdrawn",
    ("delivered", "ask"): "awaiting",
    ("awaiting", "unanswered"): "delivered",
    ("awaiting", "commit"): "committed",
    ("delivered", "commit"): "committed",
    ("awaiting", "lost"): "pending",
    ("awaiting", "abandon"): "failed",
    ("awaiting", "drop_lost"): "withdrawn",
}
RETRIEVAL: Transitions = {
    ("pending", "claim"): "fetching",
    ("pending", "complete"): "fetched",  # it came by itself
    ("fetching", "complete"): "fetched",
    ("failed", "complete"): "fetched",
    ("fetching", "try_again"): "pending",
    ("fetching", "give_up"): "failed",
    ("failed", "retry"): "pending",
    ("fetched", "list_again"): "pending",  # the archive counts more than before
    ("failed", "list_again"): "pending",
    ("withdrawn", "list_again"): "pending",
    ("pending", "withdraw"): "withdrawn",
}
ORDER: Transitions = {
    ("open", "finish"): "done",
    ("open", "stop"): "stopped",
    ("stopped", "resume"): "open",
}
WORKITEM: Transitions = {
    ("offered", "claim"): "claimed",
    ("claimed", "begin"): "working",
    ("working", "complete"): "completed",
    ("working", "cancel"): "canceled",
    ("offered", "lose"): "lost",
    ("claimed", "lose"): "lost",
    ("working", "lose"): "lost",
    ("lost", "offer_again"): "offered",  # the service was put back to an older state
}
MODEL: Transitions = {
    ("candidate", "shadow"): "shadow",
    ("shadow", "end_shadow"): "candidate",
    ("candidate", "promote"): "active",
    ("shadow", "promote"): "active",
    ("active", "retire"): "retired",
    ("retired", "rollback"): "active",
    ("candidate", "reject"): "rejected",
    ("shadow", "reject"): "rejected",
    # What the configuration names, or this version ships, is active whatever it was before.
    ("candidate", "install"): "active",
    ("shadow", "install"): "active",
    ("retired", "install"): "active",
    ("rejected", "install"): "active",
}


def advance(machine: Transitions, state: str, event: str) -> str:
    """Return the state that follows.

    Raises
    ------
    IllegalTransition
        The event is not listed for the state.
    """
    try:
        return machine[state, event]
    except KeyError:
        raise IllegalTransition(f"{event!r} does not belong to state {state!r}") from None


def sources(machine: Transitions, event: str) -> tuple[str, ...]:
    """Return the states in which `event` is legal; guarded updates use them in their WHERE clause."""
    return tuple(state for state, name in machine if name == event)


def target(machine: Transitions, event: str) -> str:
    """Return the one state that `event` leads to, whatever the state before."""
    (only,) = {after for (_, name), after in machine.items() if name == event}
    return only


def diagram() -> str:
    """Return the machines as Mermaid state diagrams for the documentation."""
    lines = []
    for title, machine in (
        ("Series", SERIES),
        ("Job", JOB),
        ("Delivery", DELIVERY),
        ("Retrieval", RETRIEVAL),
        ("Order", ORDER),
        ("Work item", WORKITEM),
        ("Model", MODEL),
    ):
        lines += [f"### {title}", "", "```mermaid", "stateDiagram-v2"]
        lines += [f"    {before} --> {after}: {event}" for (before, event), after in machine.items()]
        lines += ["```", ""]
    return "\n".join(lines)
