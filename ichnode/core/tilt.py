"""Gantry tilt and sideways shifts, from where the slices lie."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TILT_SEEN_DEG = 0.5
"""Smaller angles are rounding of positions."""


def tilt_and_shift(places: NDArray[np.float64], tag_deg: float | None) -> tuple[float, float]:
    """Return the tilt in degrees and the largest sideways deviation in mm from the line through the slices.

    With a tilted gantry the table still moves along its own axis, so that the line through the slices leans against
    their normal. That holds whether the scanner wrote the tilt into ImageOrientationPatient or, with an untilted
    orientation, into shifted positions; an oblique reformat does not lean.

    Parameters
    ----------
    places : array of shape (slices, 3)
        Position along row, column and normal, in mm, ascending along the normal.
    tag_deg : float or None
        Gantry/Detector Tilt (0018,1120): counts where the positions show no tilt, and gives the sign where they do.
    """
    leaning_deg, shift_mm, sign = 0.0, 0.0, -1.0
    steps = np.diff(places, axis=0)
    if len(steps):
        slopes = np.median(steps[:, :2] / steps[:, 2:], axis=0)  # the median is deaf to a single jump
        leaning_deg = math.degrees(math.atan(math.hypot(*slopes)))
        sign = -1.0 if slopes[1] > 0 else 1.0
        aside = places[:, :2] - places[:, 2:] * slopes
        shift_mm = float(np.abs(aside - np.median(aside, axis=0)).max())
    if leaning_deg < TILT_SEEN_DEG:
        return tag_deg or 0.0, shift_mm
    return math.copysign(leaning_deg, tag_deg or sign), shift_mm
