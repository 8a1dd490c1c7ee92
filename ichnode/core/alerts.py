"""Who is told of what: rules as data, and what a new answer makes of what was told before.

A rule is judged against the *call* on a study: the answer that stands for all of its series together. What a channel
was told last is a call too; whether the two differ decides whether there is something to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum

from ichnode.core.triage import URGENCY

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Called(StrEnum):
    """The answer that stands for a study; `retracted` where it was taken back and no other one stands."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    NOT_ANALYSED = "not_analysed"
    FAILED = "failed"
    RETRACTED = "retracted"


CALLS_TOLD = ("positive", "negative", "not_analysed", "failed")
"""The calls that a rule may ask for; a retraction is told to whoever was told what it takes back."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a study comes from, as far as its headers and its senders say.

    Attributes
    ----------
    calling_aets : tuple of str
        AE titles that sent slices of it.
    station, institution : str
        StationName and InstitutionName.
    """

    calling_aets: tuple[str, ...] = ()
    station: str = ""
    institution: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """The answer that stands for a study.

    Attributes
    ----------
    called : Called
    scores : mapping of class name to scan score
        Empty where nothing was analysed.
    present : frozenset of class names
        Whose scores reach their thresholds.
    expected : bool
        Whether anybody waits for it: not for the answer that only a localizer came, say. Such a call makes no alert.
    preliminary : bool
        Whether slices were missing.
    """

    called: Called
    scores: Mapping[str, float] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    expected: bool = True
    preliminary: bool = False

    @property
    def urgency(self) -> int:
        """Place in the worklist's order, 0 first."""
        return URGENCY.get(self.called, URGENCY["failed"])


@dataclass(frozen=True, slots=True)
class Rule:
    """When a channel is told. An empty tuple asks for nothing.

    Attributes
    ----------
    calls : tuple of str
        Of `CALLS_TOLD`.
    findings : tuple of class names
        One of them at least has to be present; for positive calls only.
    min_score : float
        The highest score among `findings`, or of all classes, has to reach it; for positive calls only.
    urgency : int
        The least urgent place of the worklist's order that is told.
    weekdays : tuple of str
        Of `DAYS`; that on which the hours began.
    hours : (time, time) or None
        From and until, local time; over midnight where the second is the earlier one.
    calling_aets, stations, institutions : tuple of str
        Compared without regard to case.
    keeps_records : bool
        Whether a preliminary message has to be followed by a final one, although the call is the same.
    """

    calls: tuple[str, ...] = ("positive",)
    findings: tuple[str, ...] = ()
    min_score: float = 0.0
    urgency: int = 4
    weekdays: tuple[str, ...] = ()
    hours: tuple[time, time] | None = None
    calling_aets: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    institutions: tuple[str, ...] = ()
    keeps_records: bool = False


@dataclass(frozen=True, slots=True)
class Ladder:
    """What happens while a positive stays unread.

    Attributes
    ----------
    steps : tuple of (minutes since the alert, channel that is told)
        In order of time.
    """

    steps: tuple[tuple[float, str], ...] = ()

    def due_at(self, alerted_at: datetime, done: int) -> datetime | None:
        """Return when the step after `done` ones is due; None: there is none."""
        if done >= len(self.steps):
            return None
        return alerted_at + timedelta(minutes=self.steps[done][0])


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel was told last of a study.

    Attributes
    ----------
    call : Call
    wanted : bool
        Whether it was one that the channel asks for, and not only the end of one.
    """

    call: Call
    wanted: bool


class Say(StrEnum):
    """What a channel has to be told."""

    ALERT = "alert"
    CORRECTION = "correction"
    FINAL = "final"


def what_to_say(rule: Rule, call: Call, site: Site, at: datetime, told: Told | None) -> Say | None:
    """Return what a channel has to be told of a call; None: nothing.

    Whoever was told something hears that it changed, at whatever hour and however the rule reads by now.

    Parameters
    ----------
    at : datetime
        When the answer was made, in local time.
    told : Told or None
        None where it knows nothing of the study.
    """
    if told is None:
        return Say.ALERT if is_wanted(rule, call) and is_open(rule, at) and _is_from(rule, site) else None
    if _same(rule, call, told.call):
        completed = rule.keeps_records and told.call.preliminary and not call.preliminary
        return Say.FINAL if completed else None
    if told.wanted:
        return Say.CORRECTION
    return Say.ALERT if is_wanted(rule, call) else None


def is_open(rule: Rule, at: datetime) -> bool:
    """Tell whether a local time lies in the weekdays and hours of a rule."""
    day = at.weekday()
    if rule.hours is not None:
        begin, end = rule.hours
        now = at.time().replace(tzinfo=None)
        if begin < end:
            if not begin <= now < end:
                return False
        elif now < end:
            day = (day - 1) % 7  # the night that began yesterday
        elif now < begin:
            return False
    return not rule.weekdays or DAYS[day] in rule.weekdays


def is_wanted(rule: Rule, call: Call) -> bool:
    """Tell whether a rule asks for a call, wherever and whenever it was made."""
    if call.called not in rule.calls or call.urgency > rule.urgency or not call.expected:
        return False
    if call.called is not Called.POSITIVE:
        return True
    if rule.findings and not call.present & set(rule.findings):
        return False
    scores = [score for name, score in call.scores.items() if not rule.findings or name in rule.findings]
    return max(scores, default=0.0) >= rule.min_score


def _same(rule: Rule, call: Call, told: Call) -> bool:
    """Tell whether a channel would hear nothing new: the same call, and what it asks for neither came nor went."""
    if call.called is not told.called:
        return False
    if call.called is not Called.POSITIVE or not rule.findings:
        return True
    wanted = set(rule.findings)
    return bool(call.present & wanted) is bool(told.present & wanted)


def _is_from(rule: Rule, site: Site) -> bool:
    return (
        _among(rule.calling_aets, site.calling_aets)
        and _among(rule.stations, (site.station,))
        and _among(rule.institutions, (site.institution,))
    )


def _among(asked: Sequence[str], found: Sequence[str]) -> bool:
    return not asked or bool({text.strip().casefold() for text in asked} & {text.strip().casefold() for text in found})
