"""Where each slice lies in one frame of axes, and whether all slices share those axes and do not lie in each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.core.slices import Slice

Floats = NDArray[np.float64]

SAME_PLACE_MM = 0.05
"""Slices closer than this lie at the same place; the thinnest CT spacing is about 0.2 mm."""
SAME_DIRECTION_DEG = 1.0
SAME_PIXEL_SIZE = 1.01
FEW_REPEATED = 3
FEW_REPEATED_SHARE = 0.1
"""Up to this many slices, or this share of a series, may be repeated before the series counts as two volumes."""


@dataclass(frozen=True, slots=True)
class Axes:
    """Unit vectors in patient coordinates: along a row, along a column, and the normal, which points to the head.

    The patient's coordinates grow to the left, to the back and to the head (PS3.3 C.7.6.2.1.1).
    """

    row: tuple[float, float, float]
    column: tuple[float, float, float]
    normal: tuple[float, float, float]

    @property
    def usual_view(self) -> bool:
        """Whether rows run to the patient's left and columns to the back, within 45 degrees."""
        return self.row[0] > 0.7 and self.column[1] > 0.7

    def place(self, slices: Sequence[Slice]) -> Floats:
        """Return the position of each slice along row, column and normal: shape (slices, 3), in mm."""
        at = np.array([s.position_mm for s in slices], np.float64)
        # Not a matrix product: its rounding may depend on the row, and the result must not depend on the order given.
        return np.stack(
            [at[:, 0] * x + at[:, 1] * y + at[:, 2] * z for x, y, z in (self.row, self.column, self.normal)], 1
        )


def unplaced(slices: Sequence[Slice]) -> int:
    """Count the slices whose position or orientation is missing or not of two unit vectors at right angles."""
    placed = [s for s in slices if s.position_mm is not None and s.orientation is not None]
    vectors = np.array([s.orientation for s in placed], np.float64).reshape(-1, 2, 3)
    lengths = np.sqrt((vectors**2).sum(2))
    leaning = np.abs((vectors[:, 0] * vectors[:, 1]).sum(1))
    good = (np.abs(lengths - 1) < 0.05).all(1) & (leaning < 0.05)
    return len(slices) - int(good.sum())


def common_axes(slices: Sequence[Slice]) -> Axes:
    """Return the axes of slices that are all placed: the median of their orientations."""
    vectors = np.median(np.array([s.orientation for s in slices], np.float64), axis=0).reshape(2, 3)
    row, column = (_unit(v) for v in vectors)
    normal = _unit(np.cross(row, column))
    leading = int(np.argmax(np.abs(normal) > 0.7)) if abs(normal[2]) <= 0.1 else 2
    if normal[leading] < 0:
        normal = -normal
    return Axes(*(tuple(float(x) for x in v) for v in (row, column, normal)))  # type: ignore[arg-type]


def mixture(slices: Sequence[Slice], axes: Axes) -> str:
    """Say in words what differs among slices that must share it; empty when nothing does."""
    vectors = np.array([s.orientation for s in slices], np.float64).reshape(-1, 2, 3)
    vectors /= np.sqrt((vectors**2).sum(2, keepdims=True))
    cosines = (vectors * np.array([axes.row, axes.column])).sum(2)
    if cosines.min() < np.cos(np.radians(SAME_DIRECTION_DEG)):
        return "orientation"
    if len({(s.rows, s.columns) for s in slices if s.rows and s.columns}) > 1:
        return "matrix"
    sides = np.array([s.pixel_spacing_mm for s in slices if s.pixel_spacing_mm]).reshape(-1, 2)
    if len(sides) and (sides.max(0) > SAME_PIXEL_SIZE * sides.min(0)).any():
        return "pixel size"
    if len({s.frame_of_reference_uid for s in slices if s.frame_of_reference_uid}) > 1:
        return "frame of reference"
    return ""


def overlap(slices: Sequence[Slice], positions: Floats) -> str:
    """Say in words which two volumes of the same place the series holds; empty when it holds one.

    Volumes are told apart by acquisition number, kernel and thickness. An acquisition per rotation or per slice is
    usual: what counts is that a slice lies inside the range of a larger volume. Slices at one place with different
    Instance Numbers count as well; with the same one they are a copy.
    """
    bound = max(FEW_REPEATED, FEW_REPEATED_SHARE * len(slices))
    by_key: dict[tuple[object, ...], list[int]] = {}
    for index, s in enumerate(slices):
        by_key.setdefault((s.acquisition_number, s.kernel, round(s.thickness_mm or 0, 1)), []).append(index)
    if len(by_key) > 1:
        inside = _inside_larger([positions[volume] for volume in by_key.values()])
        if inside > bound:
            return f"{inside} of {len(slices)} slices of another acquisition, kernel or thickness"
    repeated = sum(_different(slices, group) for group in same_places(positions))
    return f"{repeated} of {len(slices)} slices repeated at the same place" if repeated > bound else ""


def duplicates(slices: Sequence[Slice], positions: Floats) -> tuple[list[int], list[int]]:
    """Return the slices to keep, by ascending position, and those left out.

    Of slices at the same place the one with the highest acquisition number, then instance number, is kept.
    """
    kept: list[int] = []
    left: list[int] = []
    for group in same_places(positions):
        best = max(group, key=lambda i: _latest(slices[i]))
        kept.append(best)
        left.extend(i for i in group if i != best)
    return kept, left


def same_places(positions: Floats) -> list[list[int]]:
    """Group indices by place, ascending."""
    order = np.argsort(positions, kind="stable")
    starts = np.flatnonzero(np.diff(positions[order]) > SAME_PLACE_MM) + 1
    return [group.tolist() for group in np.split(order, starts)]


def _inside_larger(volumes: Sequence[Floats]) -> int:
    """Count the slices that lie within the range of a volume of more slices; a single slice has no range."""
    ranked = sorted(volumes, key=lambda v: (len(v), np.sort(v).tolist()), reverse=True)
    ranges = [v for v in ranked if len(v) > 1]
    low = np.array([v.min() for v in ranges]) - SAME_PLACE_MM
    high = np.array([v.max() for v in ranges]) + SAME_PLACE_MM
    rank = np.repeat(np.arange(len(ranked)), [len(v) for v in ranked])
    at = np.concatenate(ranked)[:, None]
    larger = np.arange(len(ranges)) < rank[:, None]
    return int(((at >= low) & (at <= high) & larger).any(1).sum())


def _different(slices: Sequence[Slice], group: Sequence[int]) -> int:
    numbers = [(slices[i].instance_number, slices[i].frame) for i in group]
    unknown = sum(number is None for number, _ in numbers)
    return len({pair for pair in numbers if pair[0] is not None}) + unknown - 1


def _latest(one: Slice) -> tuple[float, float, str, int]:
    def known(number: int | None) -> float:
        return -np.inf if number is None else number

    return known(one.acquisition_number), known(one.instance_number), one.sop_instance_uid, one.frame


def _unit(vector: Floats) -> Floats:
    length: float = np.sqrt((vector**2).sum())
    return vector / length
