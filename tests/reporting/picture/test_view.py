"""Radiological convention for every way in which a slice can be stored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ichnode.reporting.picture.view import radiological

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
AXIAL = [
    (row, column, row_sign, column_sign)
    for (row, column), row_sign, column_sign in itertools.product((("x", "y"), ("y", "x")), (1, -1), (1, -1))
]


def orientation(row: str, column: str, row_sign: int, column_sign: int) -> tuple[float, ...]:
    return (*(row_sign * v for v in AXES[row]), *(column_sign * v for v in AXES[column]))


@pytest.mark.parametrize("stored", AXIAL)
def test_the_patients_right_is_on_the_left_and_the_front_on_top(stored: tuple[str, str, int, int]) -> None:
    row, column, row_sign, column_sign = stored
    # A pixel's patient coordinates, as PS3.3 C.7.6.2.1.1 has them: along a row, then along a column.
    place = {axis: np.zeros((4, 5)) for axis in AXES}
    place[row] += row_sign * np.arange(5)[None]
    place[column] += column_sign * np.arange(4)[:, None]
    view = radiological(orientation(*stored))  # type: ignore[arg-type]
    assert (np.diff(view.turn(place["x"]), axis=1) > 0).all(), "the patient's left grows to the right"
    assert (np.diff(view.turn(place["y"]), axis=0) > 0).all(), "the patient's back grows downwards"
    assert (view.left, view.right, view.top, view.bottom) == ("R", "L", "A", "P")
    assert view.pixel_mm((2.0, 3.0)) == ((3.0, 2.0) if row == "y" else (2.0, 3.0))


def test_a_tilted_slice_is_axial_all_the_same() -> None:
    view = radiological((0.999, 0.04, 0.0, -0.03, 0.93, 0.36))
    assert (view.transposed, view.rows_flipped, view.columns_flipped, view.left) == (False, False, False, "R")


def test_another_plane_is_labelled_and_not_turned() -> None:
    view = radiological((-1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    stored = np.arange(6).reshape(2, 3)
    assert (view.turn(stored) == stored).all()
    assert (view.left, view.right, view.top, view.bottom) == ("L", "R", "H", "F")
