"""Tallies: how much has happened since the node started, counted from rows that were written since.

Rows are facts, the sums are a hint: they begin anew at each start, as counters of Prometheus may.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from ichnode.worklist import schema

_E, _I = schema.journal, schema.instances
_PAGE = 5000
_LABELS: Mapping[str, tuple[str, ...]] = {
    "study.opened": (),
    "series.opened": (),
    "series.closed": ("because",),
    "series.ignored": ("reason",),
    "series.purged": ("because",),
    "slice.conflict": (),
    "job.failed": ("kind", "reason"),
    "job.released": (),
    "result.made": ("verdict", "reason"),
    "result.retracted": ("because",),
    "delivery.accepted": ("destination",),
    "delivery.again": ("destination",),
    "delivery.refused": ("destination",),
    "delivery.given_up": ("destination",),
    "retrieval.complete": (),
    "retrieval.failed": (),
    "notice.filed": ("channel", "kind"),
}
"""Events of the journal that are counted, each by these details."""
BOUNDS_S = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
WAITED = ("after_first_s", "after_last_s")


@dataclass
class Waited:
    """A histogram of seconds: how many are at most each of `BOUNDS_S`, how many there are, and their sum."""

    at_most: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_S))
    number: int = 0
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.number += 1
        self.total_s += seconds
        for index, bound in enumerate(BOUNDS_S):
            self.at_most[index] += seconds <= bound


class Tally:
    """Counts what the journal says since `tx`; safe to share between threads."""

    def __init__(self, tx: Connection) -> None:
        self._guard = threading.Lock()
        self._event, self._instance = _newest(tx)
        self.slices = 0
        self.events: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.waited = {name: Waited() for name in WAITED}

    def catch_up(self, tx: Connection) -> None:
        """Count what has come since the last call."""
        with self._guard:
            newest, instance = _newest(tx)
            new = tx.scalar(select(func.count()).where(_I.c.id > self._instance, _I.c.id <= instance))
            self.slices += new or 0
            self._instance = instance  # smaller where retention took the newest away: numbers are given again
            while self._event < newest:
                self._page(tx, newest)

    def _page(self, tx: Connection, newest: int) -> None:
        rows = tx.execute(
            select(_E.c.id, _E.c.event, _E.c.detail)
            .where(_E.c.id > self._event, _E.c.id <= newest)
            .order_by(_E.c.id)
            .limit(_PAGE)
        ).all()
        for row in rows:
            if row.event in _LABELS:
                self.events[row.event, tuple(_word(row.detail, name) for name in _LABELS[row.event])] += 1
            for name in WAITED:
                if row.event == "result.made" and name in row.detail:
                    self.waited[name].add(row.detail[name])
        self._event = rows[-1].id if rows else newest


def _newest(tx: Connection) -> tuple[int, int]:
    return tx.scalar(select(func.max(_E.c.id))) or 0, tx.scalar(select(func.max(_I.c.id))) or 0


def _word(detail: Mapping[str, Any], name: str) -> str:
    said = detail.get(name)
    return "" if said is None else str(said)
