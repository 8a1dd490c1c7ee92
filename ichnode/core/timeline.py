"""Where the time went between the last slice of a series and its answer at a destination."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


def stages(
    last_slice_at: datetime, closed_at: datetime | None, started_at: datetime | None, answered_at: datetime,
    delivered_at: datetime | None, computed_s: Mapping[str, float],
) -> dict[str, float]:  # fmt: skip
    """Return the seconds of each stage, in their order; what is not known, or what the clock turned round, is left out.

    Parameters
    ----------
    last_slice_at, closed_at, started_at, answered_at, delivered_at
        The last slice was durable; the series was taken as complete; a worker took it; the answer was committed; the
        first destination had it.
    computed_s : mapping of stage to seconds
        ``load``, ``inference`` and ``report`` as the worker measured them.

    Returns
    -------
    dict
        ``settling``, ``waiting``, ``load``, ``inference``, ``report``, ``commit``, ``delivery``.
    """
    found: dict[str, float] = {}

    def between(name: str, begin: datetime | None, end: datetime | None, less: float = 0.0) -> None:
        if begin is not None and end is not None and end >= begin:
            found[name] = max(0.0, (end - begin).total_seconds() - less)

    between("settling", last_slice_at, closed_at)
    between("waiting", closed_at, started_at)
    measured = {name: computed_s[name] for name in ("load", "inference", "report") if name in computed_s}
    found.update(measured)
    between("commit", started_at, answered_at, sum(measured.values()))
    between("delivery", answered_at, delivered_at)
    return found
