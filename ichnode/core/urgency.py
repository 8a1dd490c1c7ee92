"""Whose turn it is: urgent studies first, and nothing else left behind for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Urgency(IntEnum):
    """How urgent work is: the smaller, the sooner."""

    URGENT = 0
    """Somebody has said so; see `Said`."""
    ROUTINE = 1
    ORDERED = 2
    """Of a study that an order fetched (backfill, priors): nobody waits for it."""


PEER, REQUEST, WORKITEM = "peer", "request", "workitem"
"""Who says that a study is urgent: the entry of its sender in the configuration, its images, a work item."""
PATIENCE_S: Mapping[int, float] = {Urgency.ROUTINE: 600.0, Urgency.ORDERED: 86400.0}
"""Seconds that work waits before it gets every second turn, if more urgent work leaves it no other. That of routine
work is a setting."""
_URGENT_PRIORITIES = frozenset({"STAT", "HIGH"})


@dataclass(frozen=True, slots=True)
class Said:
    """Why a study is urgent.

    Attributes
    ----------
    because : str
        `PEER`, `REQUEST` or `WORKITEM`.
    detail : str
        AE title of the peer, the priority that the images give, or the number of the work item.
    """

    because: str
    detail: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of each urgency the work that came first.

    Attributes
    ----------
    urgency : int
    waited_s : float
        Since it was queued; negative where the clock was set back.
    passed_over : bool
        More urgent work was taken before it since its patience was over.
    """

    urgency: int
    waited_s: float
    passed_over: bool


def is_urgent_priority(text: str) -> bool:
    """Tell whether a priority asks for haste.

    Parameters
    ----------
    text : str
        Requested Procedure Priority (0040,1003): STAT, HIGH, ROUTINE, MEDIUM, LOW; or Scheduled Procedure Step
        Priority (0074,1200): HIGH, MEDIUM, LOW, and STAT as some services write.
    """
    return text.strip().upper() in _URGENT_PRIORITIES


def urgency_of(urgent: bool, ordered: bool) -> Urgency:
    """Return the urgency of a study's work; what is called urgent is, whoever fetched it."""
    return Urgency.URGENT if urgent else Urgency.ORDERED if ordered else Urgency.ROUTINE


def turn_of(waiting: Sequence[Waiting], patience_s: Mapping[int, float] = PATIENCE_S) -> Waiting:
    """Return whose turn it is: the most urgent, unless another one has been passed over and waits too long.

    So urgent work waits for two others at most, however long the queue is (one routine, one ordered), and of what waits
    too long the first goes with every second turn at least (every third where there is too much of all three).

    Parameters
    ----------
    waiting : sequence of Waiting
        Not empty; one of each urgency at most.
    """
    by_urgency = sorted(waiting, key=lambda one: one.urgency)
    owed = [one for one in by_urgency[1:] if one.passed_over and is_overdue(one, patience_s)]
    return (owed or by_urgency)[0]


def passed_over(waiting: Sequence[Waiting], patience_s: Mapping[int, float] = PATIENCE_S) -> list[Waiting]:
    """Return who is passed over by the turn of `turn_of`: what is owed a turn from now on.

    Only the most urgent one passes others over: who takes the turn that it was owed owes nobody another.
    """
    chosen = turn_of(waiting, patience_s)
    if chosen.urgency != min(one.urgency for one in waiting):
        return []
    return [one for one in waiting if one is not chosen and not one.passed_over and is_overdue(one, patience_s)]


def is_overdue(one: Waiting, patience_s: Mapping[int, float]) -> bool:
    """Tell whether work has waited for longer than it should."""
    return one.waited_s > patience_s.get(one.urgency, float("inf"))
