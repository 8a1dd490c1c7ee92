"""The day: which scanner sends what and when, and what goes wrong. Decided by a seed, before anything begins."""

from __future__ import annotations

import random
from dataclasses import dataclass

SCANNERS = ("SCANNER1", "SCANNER2", "SCANNER3")
QUIET_SHARE = 0.3
"""Of the day at its end nothing goes wrong any more, so that memory can be watched and the queue can drain."""

# How studies come, and how many of a hundred.
WAYS = {
    "plain": 62,
    "thin": 12,  # ten times the slices
    "aborted": 10,  # the association ends in the middle, the rest comes on another
    "again": 8,  # everything is sent twice
    "late": 4,  # the last slices come when the answer is given already
    "contrast": 4,  # not for the model: a reason is the answer
}
# What goes wrong: how often in a day of 400 studies (at least once), and for how many of its 24 hours each time.
TROUBLES = {
    "worker killed": (6, 0.0),
    "node killed": (3, 0.0),
    "node restarted": (2, 0.0),
    "PACS out": (3, 0.7),
    "disk nearly full": (2, 0.4),
    "clock forward": (1, 0.0),
    "clock back": (1, 0.0),
}


@dataclass(frozen=True)
class Exam:
    """One study that a scanner is going to send, `at` being a share of the day, 0..1."""

    number: int
    at: float
    scanner: str
    way: str
    bleeds: bool


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong at a share of the day, for a share of it."""

    at: float
    what: str
    lasts: float


def exams(studies: int, seed: int) -> list[Exam]:
    """Return the studies in the order of their time; more come by day than by night, each way at least once."""
    chance = random.Random(seed)
    ways = [*WAYS, *chance.choices(list(WAYS), list(WAYS.values()), k=max(0, studies - len(WAYS)))][:studies]
    chance.shuffle(ways)
    times = sorted(min(0.97, max(0.0, chance.triangular(0.0, 1.0, 0.45))) for _ in ways)
    return [
        Exam(n, at, chance.choice(SCANNERS), way, chance.random() < 0.4)
        for n, (at, way) in enumerate(zip(times, ways, strict=True))
    ]


def troubles(studies: int, seed: int) -> list[Trouble]:
    """Return what goes wrong, in the order of its time; one thing after the other."""
    chance = random.Random(seed + 1)
    many = [what for what, (often, _) in TROUBLES.items() for _ in range(max(1, round(often * studies / 400)))]
    clock = [what for what in many if what.startswith("clock")]
    chance.shuffle(many)
    for what in clock:  # forward before back
        many[many.index(what)] = "clock"
    many = [clock.pop(0) if what == "clock" else what for what in many]
    room = (1 - QUIET_SHARE) / len(many)
    return [
        Trouble((n + chance.uniform(0.2, 0.5)) * room, what, min(TROUBLES[what][1] / 24, 0.45 * room))
        for n, what in enumerate(many)
    ]
