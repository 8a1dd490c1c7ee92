"""Control charts as figures for inline SVG: points in a box, the mean, the limits, what lies outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from ichnode.core.control import Chart, chart_of
from ichnode.steps.node import Node
from ichnode.worklist import vitals

WIDTH, HEIGHT, EDGE = 220.0, 54.0, 5.0
MOST = 60
KEPT_FOR = timedelta(minutes=1)
KINDS = (("score", "Score", 2, ""), ("brain_hu", "Brain", 1, "HU"), ("spacing_mm", "Spacing", 2, "mm"))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart, ready to be drawn; lengths in the units of a box of `WIDTH` by `HEIGHT`."""

    name: str
    unit: str
    digits: int
    values: tuple[float, ...]
    chart: Chart | None
    points: tuple[tuple[float, float, bool], ...]
    centre_y: float
    low_y: float
    high_y: float

    @property
    def count(self) -> int:
        """How many series were measured."""
        return len(self.values)

    @property
    def line(self) -> str:
        """The points of a polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in self.points)


class Charts:
    """The charts of all scanners, made anew at most once a minute: each time all answers are read."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made_at: datetime | None = None
        self._charts: dict[str, list[Drawn]] = {}

    def of(self, node: Node) -> dict[str, list[Drawn]]:
        """Return the charts by station."""
        now = node.now()
        with self._lock:
            if self._made_at is None or abs(now - self._made_at) >= KEPT_FOR:
                with node.worklist.read() as tx:
                    found = vitals.by_scanner(tx)
                self._charts, self._made_at = {station: drawn(rows) for station, rows in found.items()}, now
            return self._charts


def drawn(measured: list[dict[str, Any]]) -> list[Drawn]:
    """Return the charts of one scanner; that of the scores begins anew with each model."""
    of_model = [row for row in measured if row["model"] == measured[-1]["model"]]
    charts = []
    for key, name, digits, unit in KINDS:
        rows = of_model if key == "score" else measured
        charts.append(_draw([row[key] for row in rows if row.get(key) is not None], name, digits, unit))
    return charts


def _draw(values: list[float], name: str, digits: int, unit: str) -> Drawn:
    chart = chart_of(values)
    if chart is None:
        return Drawn(name, unit, digits, tuple(values), None, (), 0, 0, 0)
    first = max(0, len(values) - MOST)
    shown = chart.values[first:]
    low, high = min(*shown, chart.low), max(*shown, chart.high)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return HEIGHT - EDGE - (value - low) / span * (HEIGHT - 2 * EDGE)

    step = (WIDTH - 2 * EDGE) / max(1, len(shown) - 1)
    outside = set(chart.outside)
    points = tuple((EDGE + i * step, y(value), first + i in outside) for i, value in enumerate(shown))
    return Drawn(name, unit, digits, tuple(values), chart, points, y(chart.centre), y(chart.low), y(chart.high))
