"""The order in which people and machines look: what nobody has read, what may be bleeding, what waits longest."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

URGENCY = {"positive": 0, "failed": 1, "not_analysed": 3, "negative": 4, "retracted": 3}
PENDING_URGENCY = 2
READ = 5
"""Added to the urgency of a study that somebody has signed off."""
_UNANSWERED = (URGENCY["failed"], PENDING_URGENCY)
_WAITS = (URGENCY["positive"], *_UNANSWERED)


class Place(NamedTuple):
    """Where a study stands in the worklist: the smaller, the further up."""

    rank: int
    minus_score: float
    age_key: float


def urgency_of(verdict: str, failed: bool) -> int:
    """Return the urgency of a study.

    Parameters
    ----------
    verdict : str
        positive, pending, negative, not_analysed or retracted.
    failed : bool
        Whether an analysis or a delivery has failed: a person has to do something.
    """
    if verdict != "positive" and failed:
        return URGENCY["failed"]
    return PENDING_URGENCY if verdict == "pending" else URGENCY[verdict]


def place_of_study(
    urgency: int, score: float | None, since: datetime, read: bool, ordered: bool = False, urgent: bool = False
) -> Place:
    """Return where a study stands: unread before read, by urgency, by score, by age.

    What waits for somebody stands the higher the longer it waits; of everything else the newest comes first, and of
    what was read the newest regardless of its score.

    Parameters
    ----------
    since : datetime
        When its last slice came.
    ordered : bool
        Fetched by an order: after those of the same urgency that came by themselves.
    urgent : bool
        Somebody asked for haste: before those that wait as it does. Once there is an answer, that decides.
    """
    seconds = since.timestamp()
    if read:
        return Place(READ + urgency, 0.0, -seconds)
    behind = 1.0 if ordered else 0.0
    if urgent:
        behind = -1.0 if urgency in _UNANSWERED else 0.0
    return Place(urgency, behind - (score or 0.0), seconds if urgency in _WAITS else -seconds)
