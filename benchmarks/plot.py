"""The picture of the measured figures: slices a second of each receiver, and how each figure stands to its measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_RECEIVE = "receive."


def draw(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Write an SVG of `records`, as they stand in the JSON file."""
    rates = _rates(records)
    ratios = [r for r in records if r["ratio"] is not None]
    figure = Figure(figsize=(10, 3 + 0.28 * (3 * len(rates) + len(ratios))), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(1 + 3 * len(rates), 1 + len(ratios)))
    _draw_rates(upper, rates)
    _draw_ratios(lower, ratios)
    with matplotlib.rc_context({"svg.hashsalt": "ichnode", "svg.fonttype": "none"}):  # the same figures, the same file
        figure.savefig(path, metadata={"Date": None})


def _rates(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return slices a second by receiver and number of associations."""
    rates: dict[str, dict[str, float]] = {}
    for record in records:
        if record["name"].startswith(_RECEIVE) and record["unit"] == "slices/s":
            associations, receiver = record["name"].removeprefix(_RECEIVE).split(".")
            rates.setdefault(receiver.partition("-beside-")[0], {})[associations] = record["value"]
    return rates


def _draw_rates(axes: Axes, rates: dict[str, dict[str, float]]) -> None:
    groups = sorted({name for of in rates.values() for name in of}, key=lambda name: int(name.partition("-")[0]))
    high = 0.8 / max(len(groups), 1)
    for number, group in enumerate(groups):
        places = [place + number * high for place in range(len(rates))]
        bars = axes.barh(places, [of.get(group, 0) for of in rates.values()], high, label=group.replace("-", " "))
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=8)
    axes.set_yticks([place + 0.4 - high / 2 for place in range(len(rates))], list(rates))
    axes.invert_yaxis()
    axes.set_title("Slices a second that a receiver takes", loc="left")
    if groups:
        axes.legend(fontsize=8)


def _draw_ratios(axes: Axes, records: Sequence[dict[str, Any]]) -> None:
    bars = axes.barh([r["name"] for r in records], [r["ratio"] for r in records], color="tab:grey")
    axes.bar_label(bars, labels=[f"{r['ratio']:g} × {r['against']}" for r in records], padding=2, fontsize=7)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    axes.margins(x=0.5)
    axes.set_title("Each figure as a multiple of what it is held against", loc="left")
