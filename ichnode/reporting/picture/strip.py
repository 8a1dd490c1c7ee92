"""The score of every slice as a strip of bars, so that one look tells where in the head something was seen."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ichnode.reporting.picture.lettering import AMBER, PALE, WHITE, Box, Canvas, line_height, width_of

_BELOW = (120, 120, 120)
_TEXT = 20


def bar_edges(slices: int, left: int, right: int) -> list[tuple[int, int]]:
    """Return the first and the last pixel of each slice's bar between two pixels; bars share one where space is short.

    With room for it, a pixel is left between two bars.
    """
    edges = np.linspace(left, right, slices + 1)
    gap = 1 if (right - left) / slices >= 3 else 0
    return [
        (int(low), max(int(low), int(high) - 1 - gap)) for low, high in itertools.pairwise(edges)
    ]  # fmt: skip


def draw_strip(
    canvas: Canvas, box: Box, title: str, scores: Sequence[float], threshold: float, marked: Sequence[int]
) -> None:
    """Draw the scores of all slices, the lowest slice on the left.

    Bars that reach the threshold are bright, the others dim; the threshold is a dashed line with its value; the marked
    slices have a triangle and their number above them.

    Parameters
    ----------
    scores : sequence of float
        0..1, inferior to superior.
    threshold : float
    marked : sequence of int
        Indices of the key slices that the page shows.
    """
    left, top, right, bottom = box
    line = line_height(_TEXT)
    canvas.write(title, (left, top, right, top + line), _TEXT, colour=PALE)
    plot = (left + 18, top + 2 * line + 14, right, bottom - line - 4)
    for value, y in (("1", plot[1] - 4), ("0", plot[3] - line + 4)):
        canvas.write(value, (left, y, plot[0] - 2, y + line), _TEXT, colour=PALE)
    _bars(canvas, plot, scores, threshold)
    _threshold(canvas, plot, threshold)
    _marks(canvas, plot, len(scores), marked)
    ends = (plot[0], bottom - line, right, bottom)
    canvas.write("1 inferior", ends, _TEXT, colour=PALE)
    canvas.write(f"superior {len(scores)}", ends, _TEXT, colour=PALE, align="right")


def _bars(canvas: Canvas, plot: Box, scores: Sequence[float], threshold: float) -> None:
    left, top, right, bottom = plot
    canvas.draw.rectangle((left, top, right - 1, bottom - 1), outline=(70, 70, 70))
    for (first, last), score in zip(bar_edges(len(scores), left, right), scores, strict=True):
        height = max(1, round(score * (bottom - top)))
        reaches = score >= threshold
        canvas.draw.rectangle((first, bottom - height, last, bottom - 1), fill=WHITE if reaches else _BELOW)


def _threshold(canvas: Canvas, plot: Box, threshold: float) -> None:
    left, top, right, bottom = plot
    y = bottom - round(threshold * (bottom - top))
    for x in range(left, right, 12):
        canvas.draw.line((x, y, min(x + 6, right - 1), y), fill=AMBER, width=2)


def _marks(canvas: Canvas, plot: Box, slices: int, marked: Sequence[int]) -> None:
    left, top, right, _ = plot
    edges, shown = bar_edges(slices, left, right), sorted(marked)
    middles = [sum(edges[index]) // 2 for index in shown]
    widths = [width_of(str(index + 1), _TEXT) + 6 for index in shown]
    for index, middle, start, width in zip(
        shown, middles, _apart(middles, widths, left, right), widths, strict=True
    ):  # fmt: skip
        canvas.draw.polygon([(middle - 7, top - 13), (middle + 7, top - 13), (middle, top - 2)], fill=AMBER)
        above = (start, top - 13 - line_height(_TEXT), start + width, top - 13)
        canvas.write(str(index + 1), above, _TEXT, colour=AMBER, align="center")


def _apart(middles: Sequence[int], widths: Sequence[int], left: int, right: int) -> list[int]:
    """Return where texts begin that stand as close to their middles as they can without covering each other."""
    wished = [middle - width // 2 for middle, width in zip(middles, widths, strict=True)]
    pushed = _pushed(wished, widths, left)
    excess = (sum(pushed) - sum(wished)) // max(1, len(wished))
    starts = _pushed([start - excess for start in wished], widths, left)
    for place in range(len(starts) - 1, -1, -1):
        starts[place] = min(starts[place], right - widths[place])
        right = starts[place]
    return starts


def _pushed(wished: Sequence[int], widths: Sequence[int], left: int) -> list[int]:
    starts = []
    for start, width in zip(wished, widths, strict=True):
        starts.append(max(left, start))
        left = starts[-1] + width
    return starts
