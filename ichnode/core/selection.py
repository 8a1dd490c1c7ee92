"""Which one of several eligible series of a study is read.

One answer per study, from the series nearest to what the network was trained on. Compared in this order:

1.  kernel: soft tissue before one not known before bone;
2.  a whole head (120 mm) before less;
3.  original before DERIVED\\PRIMARY;
4.  thickness: 2.5 to 6 mm before thinner (which is averaged) before thicker;
5.  the nearer to 5 mm;
6.  more coverage, in steps of 10 mm, since a slice more at the vertex decides nothing;
7.  more slices;
8.  the lower series number;
9.  the lower key: the series that came first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ichnode.core.geometry import HEAD_EXTENT_MM, Geometry
from ichnode.core.kernels import kernel_of_series
from ichnode.core.slices import Slice

Preference = tuple[float, ...]

TRAINED_MM = 5.0
"""Slice thickness of the public training data and of the reading room."""
_READ_AS_THEY_ARE_MM = (2.5, 6.0)
_NO_NUMBER = 1e9


@dataclass(frozen=True, slots=True)
class Candidate:
    """One eligible series of a study.

    Attributes
    ----------
    key : int
        The caller's own key of the series; the lower one wins where all else is equal.
    preference : tuple of float
        From `preference`; compared element by element, higher is better. Survives a round trip through JSON.
    """

    key: int
    preference: Preference


@dataclass(frozen=True, slots=True)
class Choice:
    """`chosen` is the key of the series to read, `losers` the keys of the others (``ANOTHER_SERIES_CHOSEN``)."""

    chosen: int | None
    losers: tuple[int, ...] = ()


def preference(slices: Sequence[Slice], geometry: Geometry) -> Preference:
    """Rank one eligible series by the rules at the top of this file; higher is better.

    Parameters
    ----------
    slices : sequence of Slice
        All slices of the series.
    geometry : Geometry
        Of exactly these slices. With none of them in `order` the rank is the lowest.
    """
    members = [slices[i] for i in geometry.order]
    thickness_mm = geometry.thickness_mm or geometry.spacing_mm or 0.0
    low, high = _READ_AS_THEY_ARE_MM
    numbers = [s.series_number for s in members if s.series_number is not None]
    return (
        float(kernel_of_series(members)),
        float(geometry.extent_mm >= HEAD_EXTENT_MM),
        float(not any(s.image_type[:1] == ("DERIVED",) for s in members)),
        2.0 if low <= thickness_mm <= high else float(0 < thickness_mm < low),
        -round(abs(thickness_mm - TRAINED_MM), 1),
        float(round(geometry.extent_mm / 10)),
        float(len(members)),
        -float(min(numbers, default=_NO_NUMBER)),
    )


def at_best(preference: Preference) -> Preference:
    """Return the rank that a series can still reach while its slices arrive.

    More slices complete the head and cover more; kernel, image type and thickness are those of the slices that are
    here. A series that turns out otherwise is compared again when it is closed.
    """
    kernel, _, original, thickness, off_mm, _, _, number = preference
    return (kernel, 1.0, original, thickness, off_mm, math.inf, math.inf, number)


def choose(candidates: Iterable[Candidate]) -> Choice:
    """Choose one series of a study, the same whatever the order in which they come."""
    ranked = sorted(candidates, key=lambda c: (tuple(-value for value in c.preference), c.key))
    if not ranked:
        return Choice(None)
    return Choice(ranked[0].key, tuple(sorted(c.key for c in ranked[1:])))
