"""How pages word what the rows hold: names, dates, durations, states. Text only; templates escape it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

STATUS = {
    "positive": ("▲", "Suspected"),
    "failed": ("✕", "Failed"),
    "waiting": ("◌", "Waiting"),
    "running": ("◐", "Running"),
    "not_analysed": ("?", "Not analysed"),
    "negative": ("○", "None detected"),
    "retracted": ("⌫", "Withdrawn"),
}
"""A sign, told apart without colour, and the words beside it."""

DELIVERY = {
    "pending": "to be sent",
    "sending": "being sent",
    "delivered": "delivered",
    "awaiting": "delivered, awaiting commitment",
    "committed": "committed",
    "failed": "delivery failed",
    "withdrawn": "withdrawn",
}

URGENT = {
    "peer": "sent by a peer whose images are analysed first",
    "request": "its images give the request's priority as STAT or HIGH",
    "workitem": "a work item of high priority asks for it",
}
"""Why a study is urgent."""

TOLD = {
    "pending": "to be told since",
    "sending": "being told since",
    "delivered": "told",
    "failed": "could not be told",
    "withdrawn": "not told any more",
}
_CALLS = {
    "positive": "suspected", "negative": "none detected", "not_analysed": "not analysed", "failed": "analysis failed",
    "retracted": "taken back",
}  # fmt: skip


def notice(given: Mapping[str, Any]) -> str:
    """Return what a channel is told in a few words."""
    step = f" {given['step']}" if given["step"] else ""
    return f"{given['kind']}{step}, {_CALLS.get(given['called'], given['called'])}"


def person(name: str) -> str:
    """Return a person's name as one reads it; of its representations (PS3.5 6.2.1) the first that is not empty."""
    group = next((part for part in name.split("=") if part.strip("^ ")), "")
    family, *given = (part.strip() for part in group.split("^"))
    return ", ".join(part for part in (family, " ".join(part for part in given if part)) if part)


def dicom_date(text: str) -> str:
    """Return a DA as 2026-01-31; anything else as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdigit() else text


def dicom_time(text: str) -> str:
    """Return the hours and minutes of a TM; empty where there are none."""
    return f"{text[:2]}:{text[2:4]}" if text[:4].isdigit() and len(text) >= 4 else ""


def moment(at: str | datetime | None, now: datetime) -> str:
    """Return a time by the clock of the node's machine: the hour, and the day where it is another one."""
    if at is None:
        return ""
    local = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


def precise(at: str) -> str:
    """Return a time by the clock of the node's machine, to the second."""
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S}"


def seconds_between(begin: str | datetime | None, end: str | datetime | None) -> float | None:
    """Return the seconds from one time to another; None where one of them is not known."""
    if begin is None or end is None:
        return None
    first, last = (datetime.fromisoformat(t) if isinstance(t, str) else t for t in (begin, end))
    return max(0.0, (last.astimezone(UTC) - first.astimezone(UTC)).total_seconds())


def seconds_after(begin: str | datetime | None, end: str | datetime | None) -> float | None:
    """Return as `seconds_between`; None also where the end came first: slices that came after the answer."""
    if begin is None or end is None:
        return None
    first, last = (datetime.fromisoformat(t) if isinstance(t, str) else t for t in (begin, end))
    return None if last < first else seconds_between(first, last)


def duration(seconds: float | None) -> str:
    """Return a duration in the two largest units that matter."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 48 else f"{round(seconds / 86400)} days"


def size(count: float) -> str:
    """Return bytes in GiB, or MiB where they are few."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
