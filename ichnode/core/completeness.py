"""Is a series complete? Decided by evidence first and by time last; a pure function of facts that live in rows.

The rules, first match wins:

====  ======================================================================  =======================================
rule  evidence                                                                decision
====  ======================================================================  =======================================
1     the PACS, asked after the last slice, counts no more than we have       close, final, after the settling time, or
                                                                              `quiet_s` while an association is open
2     the PACS counts more than we have                                       wait; at `max_wait_s` close, preliminary
3     no further slice can change the rejection (a localizer, say)            close, final, after `quiet_s`
4     whole head, every association released cleanly                          close, final, after the settling time,
                                                                              or a fifth of `settle_s` where one
                                                                              association brought all of it
5     whole head, or numbers without holes over a head's length               close, final, after `quiet_s`
6     anything else                                                           wait; at `max_wait_s` close, preliminary
====  ======================================================================  =======================================

The settling time is three times the longest pause seen inside the series, at least `settle_s`, at most `quiet_s`: a
sender that opens an association per slice is not cut short between two of them. Who has sent a whole head in one
association and releases it has said that this is all; should more come all the same, within the time that the network
takes, then the analysis is discarded before anybody hears of it, and later it is a revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class CompletenessPolicy:
    """Times in seconds; see the configuration."""

    quiet_s: float = 10.0
    settle_s: float = 0.5
    max_wait_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one series at one moment.

    Attributes
    ----------
    now, boot_at, last_slice_at : datetime
        Aware, UTC. Quiet time counts from the later of the last slice and the boot of the node.
    longest_pause_s : float
        Longest pause between two slices of the series, in seconds.
    received, expected : int, int or None
        Instances that are here; instances that the PACS counts, None when not known.
    count_is_fresh : bool
        The PACS was asked after the last slice came.
    open_associations : bool
        An association that sent slices of this series is still open.
    released_cleanly : bool
        Every association that sent slices of this series ended by release.
    whole : bool
        The geometry is that of a whole head, evenly spaced, without holes.
    plausible : bool
        Numbered without holes over a head's length, though not evenly spaced.
    rejection_settled : bool
        The headers reject the series and no further slice can change that.
    shortfall : str
        What the geometry says is missing, in words.
    in_one : bool
        One association brought all of its slices.
    """

    now: datetime
    boot_at: datetime
    last_slice_at: datetime
    longest_pause_s: float
    received: int
    expected: int | None
    count_is_fresh: bool
    open_associations: bool
    released_cleanly: bool
    whole: bool
    plausible: bool
    rejection_settled: bool
    shortfall: str
    in_one: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """The series is taken as it is. `missing` says what is not there; None means final."""

    because: str
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`, unless something new comes."""

    until: datetime
    because: str


def decide(evidence: Evidence, policy: CompletenessPolicy) -> Close | Wait:
    """Return what to do with the series now; see the table at the top of this file."""
    since = evidence.last_slice_at
    if evidence.boot_at <= evidence.now:  # else the clock was set back since, and the boot is longer ago than it seems
        since = max(since, evidence.boot_at)
    deadline = since + timedelta(seconds=policy.max_wait_s)
    quiet = since + timedelta(seconds=policy.quiet_s)
    settle_s = min(policy.quiet_s, max(policy.settle_s, 3 * evidence.longest_pause_s))
    settled = evidence.last_slice_at + timedelta(seconds=settle_s)
    if evidence.expected is not None and not evidence.rejection_settled:
        if evidence.received >= evidence.expected:
            if evidence.count_is_fresh:
                # A PACS that forwards while it is being sent to never counts more than it has forwarded.
                until = quiet if evidence.open_associations else settled
                close = Close("the PACS counts no more images than are here")
                return _or_wait(evidence.now, until, close, "settling")
        else:
            missing = f"{evidence.expected - evidence.received} of {evidence.expected} images that the PACS counts"
            return _or_wait(
                evidence.now,
                deadline,
                Close("the wait for counted images is over", missing),
                "the PACS counts more images",
            )
    if evidence.rejection_settled:
        return _or_wait(evidence.now, quiet, Close("no further slice can change the rejection"), "quiet time")
    if evidence.whole and evidence.released_cleanly and not evidence.open_associations:
        if evidence.in_one:
            settled = min(settled, evidence.last_slice_at + timedelta(seconds=policy.settle_s / 5))
        return _or_wait(evidence.now, settled, Close("released cleanly with a whole head"), "settling")
    if evidence.whole or (evidence.plausible and not evidence.open_associations):
        return _or_wait(evidence.now, quiet, Close("a head's length and quiet"), "quiet time")
    return _or_wait(evidence.now, deadline, Close("the longest wait is over", evidence.shortfall), "not whole yet")


def _or_wait(now: datetime, until: datetime, close: Close, because: str) -> Close | Wait:
    return close if now >= until else Wait(until, because)
