"""Does a series show a head? What its texts and its size say, the most specific first.

1.  Longer than any head and neck: no head, whatever is written.
2.  Series Description names only other regions: no head. It names a head: a head.
3.  Else Body Part Examined, when it names anything. Another region stands unless Protocol Name says head and nothing
    else, for the body part of the last patient is often left in the protocol.
4.  Else Protocol Name, else Study Description, when only one side is named; both sides ("head and neck") leave it to
    the size.
5.  Else the size alone: a field of view and an extent that only a head, or something as large, has.

Only Body Part Examined, or a head in the Series Description beside it, is taken without a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ichnode.core.findings import Warned
from ichnode.core.geometry import Geometry
from ichnode.core.lexicon import Region, region_of
from ichnode.core.reasons import because
from ichnode.core.slices import Slice

HEAD_FIELD_MM = (150.0, 320.0)
"""Fields of view in which heads are reconstructed; bodies take 350 to 500 mm."""
HEAD_LENGTH_MM = (100.0, 260.0)
"""Extents of head scans, with the upper neck where it was taken along."""


@dataclass(frozen=True, slots=True)
class HeadEvidence:
    """`rejection` when it is no head or nobody can tell, else what has to be warned of."""

    rejection: Warned | None = None
    warnings: tuple[Warned, ...] = ()


def head_evidence(members: Sequence[Slice], geometry: Geometry, max_extent_mm: float) -> HeadEvidence:
    """Weigh the evidence on the slices of one series; the rules stand at the top of this file.

    Parameters
    ----------
    members : sequence of Slice, not empty
    geometry : Geometry
    max_extent_mm : float
        Longer than this is no head.
    """
    if geometry.extent_mm > max_extent_mm:
        return HeadEvidence(because("NOT_HEAD", f"{geometry.extent_mm:.0f} mm long"))
    part = _named(members, "body_part")
    from_texts = HeadEvidence(warnings=(because("BODY_PART_FROM_DESCRIPTION"),))
    description = _named(members, "series_description")
    if description is Region.OTHER:
        return HeadEvidence(because("NOT_HEAD", "the series description names another region"))
    if description is not Region.NOTHING:
        return HeadEvidence() if part in (Region.HEAD, Region.BOTH) else from_texts
    protocol = _named(members, "protocol_name")
    if part in (Region.HEAD, Region.BOTH):
        return HeadEvidence()
    if part is Region.OTHER:
        if protocol is Region.HEAD:
            return from_texts
        return HeadEvidence(because("NOT_HEAD", "the body part examined is another one"))
    for name, region in (("protocol", protocol), ("study description", _named(members, "study_description"))):
        if region is Region.HEAD:
            return from_texts
        if region is Region.OTHER:
            return HeadEvidence(because("NOT_HEAD", f"the {name} names another region"))
        if region is Region.BOTH:
            break
    if _has_size_of_head(members, geometry):
        return HeadEvidence(warnings=(because("BODY_PART_FROM_SIZE"),))
    return HeadEvidence(because("UNKNOWN_BODY_PART"))


def _named(members: Sequence[Slice], attribute: str) -> Region:
    regions = {region_of(text) for text in {getattr(s, attribute) for s in members}} - {Region.NOTHING}
    if not regions:
        return Region.NOTHING
    return regions.pop() if len(regions) == 1 else Region.BOTH


def _has_size_of_head(members: Sequence[Slice], geometry: Geometry) -> bool:
    fields = [
        max(s.rows * s.pixel_spacing_mm[0], s.columns * s.pixel_spacing_mm[1])
        for s in members
        if s.rows and s.columns and s.pixel_spacing_mm
    ]
    if len(fields) < len(members):
        return False
    inside_field = HEAD_FIELD_MM[0] <= min(fields) and max(fields) <= HEAD_FIELD_MM[1]
    return inside_field and HEAD_LENGTH_MM[0] <= geometry.extent_mm <= HEAD_LENGTH_MM[1]
