"""How a slice is turned for the reader: radiological convention, the patient's right on the left of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ichnode.core.slices import Vector

_Scalar = TypeVar("_Scalar", bound=np.generic)
_ENDS = (("R", "L"), ("A", "P"), ("F", "H"))
"""Letters of PatientOrientation (0020,0020) at the low and high end of x, y and z (PS3.3 C.7.6.1.1.1)."""


@dataclass(frozen=True, slots=True)
class View:
    """What is done to the stored rows and columns before they are shown, and what then lies at the edges.

    Attributes
    ----------
    transposed, rows_flipped, columns_flipped : bool
        Done in this order.
    left, right, top, bottom : str
        Letter of the patient's direction at each edge of the picture.
    """

    transposed: bool
    rows_flipped: bool
    columns_flipped: bool
    left: str
    right: str
    top: str
    bottom: str

    def turn(self, stored: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Return (rows, columns) as they are shown."""
        shown = stored.T if self.transposed else stored
        return shown[:: -1 if self.rows_flipped else 1, :: -1 if self.columns_flipped else 1]

    def pixel_mm(self, spacing_mm: tuple[float, float]) -> tuple[float, float]:
        """Return height and width of a shown pixel for a PixelSpacing (between rows, between columns)."""
        return (spacing_mm[1], spacing_mm[0]) if self.transposed else spacing_mm


def radiological(orientation: tuple[float, float, float, float, float, float]) -> View:
    """Return the view that has the patient's right on the left, and the front on top.

    Parameters
    ----------
    orientation : tuple of float
        ImageOrientationPatient. Planes other than axial are labelled and not turned.
    """
    along_row, along_column = orientation[:3], orientation[3:]
    if {_axis(along_row), _axis(along_column)} != {0, 1}:
        return View(False, False, False, *_edges(along_row, along_column))
    transposed = _axis(along_row) == 1
    if transposed:
        along_row, along_column = along_column, along_row
    columns_flipped, rows_flipped = along_row[0] < 0, along_column[1] < 0
    to_right = _reversed(along_row) if columns_flipped else along_row
    to_bottom = _reversed(along_column) if rows_flipped else along_column
    return View(transposed, rows_flipped, columns_flipped, *_edges(to_right, to_bottom))


def _axis(direction: Vector) -> int:
    return int(np.argmax(np.abs(direction)))


def _reversed(direction: Vector) -> Vector:
    return (-direction[0], -direction[1], -direction[2])


def _edges(to_right: Vector, to_bottom: Vector) -> tuple[str, str, str, str]:
    return (_end(_reversed(to_right)), _end(to_right), _end(_reversed(to_bottom)), _end(to_bottom))


def _end(direction: Vector) -> str:
    axis = _axis(direction)
    return _ENDS[axis][int(direction[axis] > 0)]
