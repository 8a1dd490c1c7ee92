"""ROC and reliability curves as SVG, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#1b1b1b", "#c0392b", "#2471a3", "#1e8449", "#b9770e", "#7d3c98")
_SIDE, _LEFT, _BOTTOM, _TOP, _RIGHT = 300, 46, 40, 12, 12

Points = Sequence[tuple[float, float]]


def roc(curves: Mapping[str, tuple[Points, str]]) -> str:
    """Draw ROC curves: name to (points, what the legend says)."""
    lines, legend = [], []
    for number, (name, (points, text)) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        lines.append(f'<polyline points="{_path(points)}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        y = _TOP + _SIDE - 16 * (len(curves) - number)
        legend.append(
            f'<rect x="{_LEFT + 88}" y="{y - 8}" width="10" height="3" fill="{colour}"/>'
            f'<text x="{_LEFT + 103}" y="{y - 3}">{escape(name)} {escape(text)}</text>'
        )
    return _frame("1 − specificity", "sensitivity", _diagonal() + "".join(lines + legend), "ROC curves")


def reliability(bins: Sequence[tuple[float, float, int]], text: str) -> str:
    """Draw the share of positives over the mean score of each bin; the area of a point grows with its samples."""
    most = max((count for _, _, count in bins), default=1)
    line = f'<polyline points="{_path([(x, y) for x, y, _ in bins])}" fill="none" stroke="{COLOURS[2]}"/>'
    dots = "".join(
        f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{2 + 7 * (count / most) ** 0.5:.1f}" fill="{COLOURS[2]}" '
        f'fill-opacity="0.55"><title>{count} with a mean score of {x:.2f}: {y:.2f} positive</title></circle>'
        for x, y, count in bins
    )
    note = f'<text x="{_LEFT + 10}" y="{_TOP + 16}">{escape(text)}</text>'
    return _frame("mean score", "share of positives", _diagonal() + line + dots + note, "reliability curve")


def _frame(across: str, up: str, inside: str, title: str) -> str:
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    ticks = "".join(
        f'<line x1="{_x(v):.1f}" y1="{_TOP}" x2="{_x(v):.1f}" y2="{_TOP + _SIDE}" stroke="#e4e4e4"/>'
        f'<line x1="{_LEFT}" y1="{_y(v):.1f}" x2="{_LEFT + _SIDE}" y2="{_y(v):.1f}" stroke="#e4e4e4"/>'
        f'<text x="{_x(v):.1f}" y="{_TOP + _SIDE + 14}" text-anchor="middle">{v:g}</text>'
        f'<text x="{_LEFT - 5}" y="{_y(v) + 4:.1f}" text-anchor="end">{v:g}</text>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}">'
        f"{ticks}{inside}"
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>'
        f'<text x="{_LEFT + _SIDE / 2}" y="{height - 6}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="translate(12 {_TOP + _SIDE / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text></svg>'
    )


def _diagonal() -> str:
    return f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#aaa" stroke-dasharray="4 4"/>'


def _path(points: Points) -> str:
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)


def _x(value: float) -> float:
    return _LEFT + value * _SIDE


def _y(value: float) -> float:
    return _TOP + (1 - value) * _SIDE
