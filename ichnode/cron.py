"""Cron expressions as crontab(5) has them: Sunday is 0 and 7.

APScheduler's `CronTrigger.from_crontab` counts weekdays from Monday as 0, so numbers become names before it sees them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(\*|[a-z]{3}|[0-7])(?:-([a-z]{3}|[0-7]))?(?:/([1-9]))?")


def cron_trigger(expression: str) -> CronTrigger:
    """Return what fires at the times of a cron expression, in UTC.

    Parameters
    ----------
    expression : str
        Minute, hour, day of the month, month, day of the week (0-7 or sun to sat; also lists, ranges and steps).

    Raises
    ------
    ValueError
        It is no cron expression.
    """
    from apscheduler.triggers.cron import CronTrigger

    fields = expression.split()
    if len(fields) == 5 and fields[4] != "*":
        fields[4] = ",".join(_days(part) for part in fields[4].lower().split(","))
    trigger: CronTrigger = CronTrigger.from_crontab(" ".join(fields), timezone="UTC")
    return trigger


def _days(part: str) -> str:
    """Return the days of a part of a list, by name, one after the other."""
    found = _PART.fullmatch(part)
    if found is None or (found[1] == "*" and found[2]):
        raise ValueError(f"{part!r} is no day of the week: use 0-7 (0 and 7 are Sunday) or sun to sat")
    step = int(found[3] or 1)
    if found[1] == "*":
        return ",".join(_DAYS[::step])
    first = _number(found[1])
    last = _number(found[2]) if found[2] else 6 if found[3] else first
    if last < first:
        last += 7  # fri-mon, sat-sun
    return ",".join(_DAYS[day % 7] for day in range(first, last + 1, step))


def _number(day: str) -> int:
    if day.isdigit():
        return int(day)
    if day not in _DAYS:
        raise ValueError(f"{day!r} is no day of the week: use 0-7 (0 and 7 are Sunday) or sun to sat")
    return _DAYS.index(day)
