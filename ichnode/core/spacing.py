"""The steps from slice to slice: even or not, and where slices are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EVEN_SHARE = 0.05
EVEN_MM = 0.11
"""Steps differ by rounding: positions written to 0.1 mm make 0.6 and 0.7 of a step of 0.625 mm."""
GAP_RATIO = 1.5


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing tissue between two neighbours of the ordered slices.

    Attributes
    ----------
    after : int
        Index, into the ordered slices, of the slice below the gap.
    from_mm, to_mm : float
        Positions along the normal of the slices on both sides.
    missing : int
        How many slices would fill it at the local spacing.
    """

    after: int
    from_mm: float
    to_mm: float
    missing: int


def even(steps: Floats) -> bool:
    """Tell whether all steps are those of their median, but for rounding."""
    if len(steps) == 0:
        return True
    median = float(np.median(steps))
    return bool((np.abs(steps - median) <= max(EVEN_MM, EVEN_SHARE * median)).all())


def find_gaps(positions: Floats, thicknesses: Sequence[float | None]) -> tuple[Gap, ...]:
    """Find steps that leave room for a slice.

    A step is a gap when it is over 1.5 times what the steps on both sides let expect (the larger of the medians of
    three below and three above, so that a change from thin to thick spacing is none), or over 1.5 times the thickness
    of its slices while a quarter of all steps are clearly smaller. A step to thicker slices that just touch is none.

    Parameters
    ----------
    positions : array of shape (slices,), ascending, in mm
    thicknesses : sequence of float or None
        Of each slice, in mm.
    """
    steps = np.diff(positions).tolist()
    if len(steps) < 2:
        return ()
    usual_small = float(np.quantile(steps, 0.25))
    thinnest = min((t for t in thicknesses if t is not None), default=None)
    gaps = []
    for i, step in enumerate(steps):
        expected = max(_median(steps[max(0, i - 3) : i]), _median(steps[i + 1 : i + 4]))
        local = expected if step > GAP_RATIO * expected else None
        pair = [t for t in thicknesses[i : i + 2] if t is not None]
        if pair:
            if local is None and step > GAP_RATIO * max(pair) and step > 1.25 * usual_small:
                local = max(pair)
            if thinnest is not None and max(pair) > 1.1 * thinnest and step <= 1.1 * max(pair):
                local = None
        if local is not None:
            missing = max(1, round(step / local) - 1)
            gaps.append(Gap(i, float(positions[i]), float(positions[i + 1]), missing))
    return tuple(gaps)


def pattern(steps: Floats) -> str:
    """Describe uneven steps: the three most frequent lengths, and whether two of them take turns."""
    labels = np.zeros(len(steps), int)
    order = np.argsort(steps, kind="stable")
    apart = np.diff(steps[order]) > np.maximum(EVEN_MM, EVEN_SHARE * steps[order][:-1])
    labels[order[1:]] = np.cumsum(apart)
    counts = np.bincount(labels)
    common = sorted(range(len(counts)), key=lambda k: (-counts[k], k))[:3]
    words = ", ".join(f"{counts[k]} of {float(np.median(steps[labels == k])):.1f} mm" for k in common)
    rest = len(counts) - len(common)
    words = f"steps {words}" + (f" and {rest} other lengths" if rest else "")
    turns = int(np.count_nonzero(np.diff(labels)))
    return words + (", interleaved" if len(common) > 1 and turns > len(steps) / 2 else "")


def _median(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
