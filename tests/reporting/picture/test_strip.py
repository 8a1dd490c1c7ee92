"""The strip of scores: a bar a slice, a line for the threshold, a triangle for what is shown."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ichnode.reporting.picture.lettering import AMBER, WHITE, Canvas
from ichnode.reporting.picture.strip import bar_edges, draw_strip

BOX = (10, 10, 560, 190)


def drawn(scores: list[float], threshold: float = 0.5, marked: tuple[int, ...] = ()) -> Canvas:
    canvas = Canvas.blank(580, 200)
    draw_strip(canvas, BOX, "Score of any hemorrhage", scores, threshold, marked)
    return canvas


@pytest.mark.parametrize("slices", [1, 2, 8, 34, 134, 300, 800])
def test_there_is_a_bar_for_every_slice(slices: int) -> None:
    edges = bar_edges(slices, 28, 560)
    assert len(edges) == slices
    assert edges[0][0] == 28 and max(last for _, last in edges) < 560
    assert all(first <= last for first, last in edges)
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(edges))
    if slices <= 300:
        assert all(a[1] < b[0] for a, b in itertools.pairwise(edges)), "no two share a pixel"


@pytest.mark.parametrize("slices", [5, 34, 134, 300])
def test_bars_are_as_high_as_their_scores_and_bright_from_the_threshold_on(slices: int) -> None:
    scores = [0.1] * slices
    scores[slices // 2] = 0.9
    canvas = drawn(scores)
    bright = (canvas.pixels == WHITE).all(-1)
    first, last = bar_edges(slices, BOX[0] + 18, BOX[2])[slices // 2]
    heights = bright[90:166].sum(0)
    assert heights[first : last + 1].min() > 40
    heights[first : last + 1] = 0
    assert heights.max() == 0, "only that slice reaches the threshold"


def test_the_threshold_lies_where_its_value_is() -> None:
    rows = []
    for threshold in (0.2, 0.8):
        amber = (drawn([0.0] * 30, threshold).pixels == AMBER).all(-1)
        rows.append(int(np.flatnonzero(amber.sum(1) > 100)[0]))
    assert rows[0] - rows[1] > 30


@pytest.mark.parametrize("marked", [(0, 29), (13, 14, 15), (28, 29), (0, 1, 2)])
def test_shown_slices_are_marked_with_their_numbers_and_none_covers_another(marked: tuple[int, ...]) -> None:
    canvas = drawn([0.5] * 30, marked=marked)
    numbers = [w for w in canvas.written if w.text in {str(index + 1) for index in marked} and w.ink[1] < 60]
    assert [w.text for w in sorted(numbers, key=lambda w: w.ink[0])][: len(marked)] == [str(i + 1) for i in marked]
    places = sorted((w.ink[0], w.ink[2]) for w in numbers)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(places))
    assert BOX[0] <= places[0][0] and places[-1][1] <= BOX[2]


def test_the_ends_are_named() -> None:
    assert {"1 inferior", "superior 30"} <= {written.text for written in drawn([0.5] * 30).written}
