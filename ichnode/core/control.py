"""Control charts of single values: has something about a scanner changed? (Shewhart; limits from the moving range.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

REFERENCE = 20
"""The first values, by which the others are judged."""
LEAST = 8
_D2 = 1.128
"""Expected range of two values from a normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Values in order of time, with the mean and the limits (three sigma) of the first `REFERENCE` of them.

    Attributes
    ----------
    outside : tuple of int
        Indices of the values beyond a limit.
    """

    values: tuple[float, ...]
    centre: float
    low: float
    high: float
    outside: tuple[int, ...]


def chart_of(values: Sequence[float]) -> Chart | None:
    """Return the chart; None where there are fewer than `LEAST` values."""
    if len(values) < LEAST:
        return None
    reference = values[:REFERENCE]
    centre = fmean(reference)
    sigma = fmean(abs(b - a) for a, b in pairwise(reference)) / _D2
    low, high = centre - 3 * sigma, centre + 3 * sigma
    outside = tuple(i for i, value in enumerate(values) if not low - 1e-9 <= value <= high + 1e-9)
    return Chart(tuple(values), centre, low, high, outside)
