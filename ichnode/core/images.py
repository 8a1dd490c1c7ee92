"""The slices of a read series in the order of its scores, and the heat maps that explain them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.core.slices import Vector


@dataclass(frozen=True, slots=True, eq=False)
class SeriesImages:
    """What pictures are made from.

    Attributes
    ----------
    volume : (slices, rows, columns) array of int16
        Hounsfield units, in the order of `Outcome.order`.
    spacing_mm : (float, float)
        Between rows and between columns, as PixelSpacing (0028,0030).
    heat : mapping of slice index to (rows, columns) array of float32
        Class activation, 0..1, where 1 is the highest of the series. Empty where nothing was found.
    heat_class : mapping of slice index to class name
        Which class the map of that slice explains.
    orientation : tuple of float
        ImageOrientationPatient (0020,0037), which all slices share: row cosines, then column cosines.
    positions_mm : tuple of (x, y, z)
        ImagePositionPatient (0020,0032) of each slice.
    thickness_mm : float or None
        SliceThickness (0018,0050); None where the headers do not say it.
    """

    volume: NDArray[np.int16]
    spacing_mm: tuple[float, float]
    heat: Mapping[int, NDArray[np.float32]]
    heat_class: Mapping[int, str]
    orientation: tuple[float, float, float, float, float, float]
    positions_mm: tuple[Vector, ...]
    thickness_mm: float | None
