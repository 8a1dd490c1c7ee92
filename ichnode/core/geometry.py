"""Where the slices of a series lie: order, spacing, gaps, duplicates, tilt.

What is done about each defect:

==========================================  ========================================================================
defect                                      policy
==========================================  ========================================================================
order other than by place, reversed order   corrected: the projection of ImagePositionPatient on the slice normal
                                            orders (PS3.3 C.7.6.2.1.1), Instance Numbers never do
localizers, secondary pictures, instances   set aside while anything else is left; ``OTHER_IMAGES_SET_ASIDE``
without pixels among the slices
position or orientation missing, invalid    refused, ``NO_POSITIONS``
orientation (over 1 degree), matrix, pixel  refused, ``MIXED_GEOMETRY``: neighbours no longer show the same place
size (over 1 %), frame of reference mixed
a few slices at the same place              one is kept, that of the highest acquisition and instance number (a slice
                                            is repeated because the first moved); ``DUPLICATE_POSITIONS``
two volumes of the same place: acquisition, refused, ``OVERLAPPING_VOLUMES``: which one to read is not for a guess.
kernel or thickness tell them apart         A plain second copy under other UIDs counts as duplicates
gantry tilt, by geometry or by (0018,1120)  read as it is, ``GANTRY_TILT``
two spacings, one after the other or        read as it is, ``NON_UNIFORM_SPACING``
interleaved; any uneven step
missing slices inside the scan              read as it is, ``GAPS``
evenly further apart than thick             read as it is, ``SPARSE_SPACING``
slices shifted sideways (over 2 mm)         read as it is, ``SHIFTED_SLICES``
rows not along the patient's left, columns  read as it is, ``UNUSUAL_VIEW``
not towards the back
rescale differs between slices              corrected slice by slice, ``MIXED_RESCALE``
rescale missing                             assumed when the pixels are read, ``MISSING_RESCALE``
==========================================  ========================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import Warned
from ichnode.core.image_kind import volume_members
from ichnode.core.numbering import contiguous, falling
from ichnode.core.placement import Axes, common_axes, duplicates, mixture, overlap, unplaced
from ichnode.core.reasons import because
from ichnode.core.slices import Slice
from ichnode.core.spacing import Gap, even, find_gaps, pattern
from ichnode.core.tilt import TILT_SEEN_DEG, tilt_and_shift

SHIFT_SEEN_MM = 2.0
HEAD_EXTENT_MM = 120.0
"""From the base of the skull to the vertex an adult head takes 130 to 170 mm."""
SPARSE_RATIO = 1.25
"""A spacing beyond this many thicknesses leaves tissue unseen; half of a contiguous series has a ratio of 2."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What `measure` found.

    Attributes
    ----------
    order : tuple of int
        Indices into the input, inferior to superior, without duplicates and images that are no slices of the volume.
    dropped : tuple of int
        The other indices of the input, ascending.
    positions_mm : tuple of float
        Position of each slice of `order` along the slice normal, ascending.
    spacing_mm : float or None
        Median step between slices, perpendicular to them; None for fewer than two.
    thickness_mm : float or None
        Median slice thickness as the headers say it.
    extent_mm : float
        Last position minus first, plus one thickness (or spacing where no thickness is given).
    tilt_deg : float
        Gantry tilt: the angle between the slice normal and the line through the slices, with the sign of (0018,1120)
        on scanners that write it; where the positions show none, (0018,1120) itself.
    gaps : tuple of Gap
    contiguous_numbers : bool
        Instance Numbers run from 0 or 1 without holes. False when any is unknown: no evidence is not evidence.
    reversed_numbers : bool
        Instance Numbers fall from inferior to superior. Usual on many scanners; order comes from positions anyway.
    uniform : bool
        Every step is within 5 % (at least 0.11 mm, what rounding makes of it) of the median; True for one slice.
    warnings : tuple of Warned
    refusal : Warned or None
        Why no single ordered volume can be made of the series.
    normal : tuple of float
        Unit vector along which `positions_mm` are measured, in patient coordinates (PS3.3 C.7.6.2.1.1), pointing to
        the head; (0, 0, 0) when there is none.
    """

    order: tuple[int, ...]
    dropped: tuple[int, ...]
    positions_mm: tuple[float, ...] = ()
    spacing_mm: float | None = None
    thickness_mm: float | None = None
    extent_mm: float = 0.0
    tilt_deg: float = 0.0
    gaps: tuple[Gap, ...] = ()
    contiguous_numbers: bool = False
    reversed_numbers: bool = False
    uniform: bool = False
    warnings: tuple[Warned, ...] = ()
    refusal: Warned | None = None
    normal: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def sparse(self) -> bool:
        """Whether the slices lie further apart than they are thick; unknown thickness counts as sparse."""
        if self.spacing_mm is None:
            return False
        return self.thickness_mm is None or self.spacing_mm > SPARSE_RATIO * self.thickness_mm


def measure(slices: Sequence[Slice]) -> Geometry:
    """Order the slices of one series and judge their geometry.

    Parameters
    ----------
    slices : sequence of Slice
        All slices of the series, in any order: the result, but for the indices, does not depend on it.

    Returns
    -------
    Geometry
        With a `refusal`, `order` keeps the order given and what could not be measured is empty.
    """
    members, aside, kind = volume_members(slices)
    if not members:
        refusal = because(kind) if kind else because("TOO_FEW_SLICES", "there are none")
        return Geometry((), tuple(aside), refusal=refusal)
    warnings: list[Warned] = []
    if aside:
        warnings.append(because("OTHER_IMAGES_SET_ASIDE", f"{len(aside)} of {len(slices)}"))

    def refused(refusal: Warned) -> Geometry:
        return Geometry(tuple(members), tuple(aside), warnings=tuple(warnings), refusal=refusal)

    chosen = [slices[i] for i in members]
    nowhere = unplaced(chosen)
    if nowhere:
        return refused(because("NO_POSITIONS", f"{nowhere} of {len(chosen)} slices"))
    axes = common_axes(chosen)
    mixed = mixture(chosen, axes)
    if mixed:
        return refused(because("MIXED_GEOMETRY", mixed))
    places = axes.place(chosen)
    overlapping = overlap(chosen, places[:, 2])
    if overlapping:
        return replace(refused(because("OVERLAPPING_VOLUMES", overlapping)), normal=axes.normal)
    kept, repeated = duplicates(chosen, places[:, 2])
    if repeated:
        warnings.append(because("DUPLICATE_POSITIONS", f"{len(repeated)} of {len(chosen)} slices left out"))
    order = tuple(members[i] for i in kept)
    dropped = tuple(sorted([*aside, *(members[i] for i in repeated)]))
    measured = _measured([chosen[i] for i in kept], places[kept], axes)
    return replace(
        measured,
        order=order,
        dropped=dropped,
        contiguous_numbers=contiguous(chosen),
        warnings=(*warnings, *measured.warnings),
    )


def _measured(ordered: Sequence[Slice], places: NDArray[np.float64], axes: Axes) -> Geometry:
    """Measure slices that are in order; `places` has the shape (slices, 3): along row, column, normal."""
    warnings: list[Warned] = []
    positions = places[:, 2]
    steps = np.diff(positions)
    spacing_mm = float(np.median(steps)) if len(steps) else None
    thicknesses = [s.thickness_mm for s in ordered]
    thickness_mm = _median(thicknesses)
    gaps = find_gaps(positions, thicknesses)
    uniform = even(steps)
    tilt_deg, shift_mm = tilt_and_shift(places, _median([s.gantry_tilt_deg for s in ordered]))
    if abs(tilt_deg) >= TILT_SEEN_DEG:
        warnings.append(because("GANTRY_TILT", f"{tilt_deg:+.1f} degrees"))
    if not uniform:
        warnings.append(because("NON_UNIFORM_SPACING", pattern(steps)))
    if gaps:
        missing = sum(gap.missing for gap in gaps)
        warnings.append(because("GAPS", f"{len(gaps)} with room for {missing} slices"))
    if spacing_mm is not None and thickness_mm is not None and spacing_mm > SPARSE_RATIO * thickness_mm:
        warnings.append(because("SPARSE_SPACING", f"{spacing_mm:.1f} mm apart, {thickness_mm:.1f} mm thick"))
    if shift_mm > SHIFT_SEEN_MM:
        warnings.append(because("SHIFTED_SLICES", f"by up to {shift_mm:.0f} mm"))
    if not axes.usual_view:
        warnings.append(because("UNUSUAL_VIEW"))
    warnings.extend(_rescale_warnings(ordered))
    return Geometry(
        order=(),
        dropped=(),
        positions_mm=tuple(positions.tolist()),
        spacing_mm=spacing_mm,
        thickness_mm=thickness_mm,
        extent_mm=float(positions[-1] - positions[0]) + (thickness_mm or spacing_mm or 0.0),
        tilt_deg=tilt_deg,
        gaps=gaps,
        reversed_numbers=falling(ordered),
        uniform=uniform,
        normal=axes.normal,
        warnings=tuple(warnings),
    )


def whole(geometry: Geometry, head_extent_mm: float = HEAD_EXTENT_MM) -> bool:
    """Tell whether the geometry is evidence that a whole head is here and nothing is missing inside it.

    Evenly spaced, no sparser than the slices are thick, Instance Numbers without holes, and at least `head_extent_mm`
    long. Every second slice of a series fails it, by its numbers and, unless slices overlap, by its spacing. It cannot
    tell that no more slices follow at the end: that is for the association to say.
    """
    return not shortfall(geometry, head_extent_mm)


def plausible(geometry: Geometry, head_extent_mm: float = HEAD_EXTENT_MM) -> bool:
    """Tell whether the slices are numbered without holes over a head's length, evenly spaced or not."""
    return (
        geometry.refusal is None
        and not geometry.gaps
        and geometry.contiguous_numbers
        and geometry.extent_mm >= head_extent_mm
    )


def shortfall(geometry: Geometry, head_extent_mm: float = HEAD_EXTENT_MM) -> str:
    """Say in words what keeps the geometry from being `whole`; empty when it is whole."""
    if geometry.refusal is not None:
        return geometry.refusal.sentence.rstrip(".")
    found = []
    if geometry.gaps:
        found.append(f"{sum(gap.missing for gap in geometry.gaps)} slices missing inside the scan")
    if not geometry.contiguous_numbers:
        found.append("instance numbers with holes or unknown")
    if geometry.extent_mm < head_extent_mm:
        found.append(f"{geometry.extent_mm:.0f} mm covered, a head takes {head_extent_mm:.0f} mm")
    if not geometry.gaps and not geometry.uniform:
        found.append("slices unevenly spaced")
    elif geometry.sparse:
        found.append("slices further apart than thick, or of unknown thickness")
    return "; ".join(found)


def _rescale_warnings(slices: Sequence[Slice]) -> list[Warned]:
    pairs = [(s.rescale_slope, s.rescale_intercept) for s in slices]
    missing = sum(None in pair for pair in pairs)
    warnings = [because("MIXED_RESCALE")] if len({pair for pair in pairs if None not in pair}) > 1 else []
    return warnings + ([because("MISSING_RESCALE", f"{missing} of {len(pairs)} slices")] if missing else [])


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
