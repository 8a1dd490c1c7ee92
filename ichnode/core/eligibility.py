"""Is this series a non-contrast axial head CT that the network may read? Decided on all headers of the series.

The rules in their order; the first that rejects gives the reason. "Settled" means that no further slice of the series
can change it.

=======================  ==============================================================================  =======
code                     rule                                                                            settled
=======================  ==============================================================================  =======
NOT_CT, SCREEN_SAVE      no object is a CT slice: SOP class, modality, colour, or Image Type value 3     yes
LOCALIZER                as above; or so described, Image Type does not say AXIAL, at most 4 slices      yes
NO_PIXELS                no object carries pixels                                                        no
DERIVED                  most slices: DERIVED with SECONDARY, or an Image Type that names a reformat,    yes
                         projection, subtraction or map. DERIVED\\PRIMARY\\AXIAL alone is read: iterative
                         reconstruction and lossy compression write it too
NOT_AXIAL                normal over 35 degrees from the body's axis (gantries tilt up to 30)            yes
NOT_HOUNSFIELD           Rescale Type is given and is neither HU nor US (unspecified)                    yes
CONTRAST                 a slice names a contrast agent, or the series description says so. What the      yes
                         protocol or the study says holds for all its series, plain ones too: a warning
NOT_HEAD                 see `head_evidence`                                                             yes
BONE_KERNEL              most slices have a bone or lung kernel (unless the policy allows it)            yes
NO_POSITIONS,            `ichnode.core.geometry`                                                         yes
MIXED_GEOMETRY,
OVERLAPPING_VOLUMES
SLICES_TOO_THICK         median thickness above the policy's                                             yes
TOO_FEW_SLICES           fewer slices than the policy's                                                  no
COVERAGE_TOO_SHORT       extent below the policy's                                                       no
SPACING_TOO_WIDE         median step above the policy's                                                  no
UNKNOWN_BODY_PART        no text names a region and the size is not that of a head                       no
=======================  ==============================================================================  =======

An attribute that is absent never lets a series pass unsaid: no region in any text is ``BODY_PART_FROM_SIZE`` at best,
no kernel is ``UNKNOWN_KERNEL``, no Image Type ``IMAGE_TYPE_UNKNOWN``, no rescale ``MISSING_RESCALE``. The one exception
is Contrast/Bolus Agent, whose absence is how the standard says that none was given (PS3.3 A.3.3).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ichnode.core.findings import Warned
from ichnode.core.geometry import HEAD_EXTENT_MM, Geometry
from ichnode.core.head_evidence import head_evidence
from ichnode.core.kernels import Kernel, kernel_of, kernel_of_series
from ichnode.core.lexicon import Contrast, contrast_of, is_given
from ichnode.core.reasons import because
from ichnode.core.slices import Slice

SETTLED = frozenset(
    {
        "NOT_CT",
        "SCREEN_SAVE",
        "LOCALIZER",
        "DERIVED",
        "NOT_AXIAL",
        "NOT_HOUNSFIELD",
        "CONTRAST",
        "NOT_HEAD",
        "BONE_KERNEL",
        "NO_POSITIONS",
        "MIXED_GEOMETRY",
        "OVERLAPPING_VOLUMES",
        "SLICES_TOO_THICK",
    }
)
LOCALIZER_WORDS = re.compile(r"LOCALI[SZ]ER|SCOUT|TOPOGRAM|SURVIEW|SCANOGRAM")
_FEW_LOCALIZERS = 4
_CALCULATED = re.compile(
    r"\b(?:MPR|REFORMAT\w*|MIP|MINIP|MAXIMUM|MINIMUM|VRT|VR|SSD|3D|VOLUME REND\w*|PROJECTION\w*|AVERAGE|SUBTRACT\w*"
    r"|PERFUSION|R?CBF|R?CBV|MTT|TTP|TMAX|IODINE|VNC|VUE|FUSION|MAP|COLOU?R|SEGMENT\w*|CURVED|BONE REMOVAL|RESAMPLED)\b"
)
_HOUNSFIELD_TYPES = frozenset({"HU", "US"})


@dataclass(frozen=True, slots=True)
class SelectionPolicy:
    """Limits of what is read; lengths in mm, angles in degrees.

    Attributes
    ----------
    min_slices : int
        8: the fewest that a head takes at the thickest slices read (10 mm, 80 mm of brain).
    min_extent_mm : float
        Below it a series is not read at all: less than half a head must never end as "negative".
    full_extent_mm : float
        Below it the result is warned with ``LIMITED_COVERAGE``.
    max_extent_mm : float
        Beyond it the series is not one of a head: vertex to thoracic inlet takes about 350 mm.
    max_thickness_mm, max_spacing_mm : float
        10 mm slices were usual on single-slice scanners; thin ones have no limit, they are averaged.
    axial_within_deg : float
    bone_kernel_allowed : bool
        Read a bone kernel where a study has nothing else. The network was not trained on it.
    """

    min_slices: int = 8
    min_extent_mm: float = 60.0
    full_extent_mm: float = HEAD_EXTENT_MM
    max_extent_mm: float = 350.0
    max_thickness_mm: float = 10.5
    max_spacing_mm: float = 12.5
    axial_within_deg: float = 35.0
    bone_kernel_allowed: bool = False


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The verdict on one series.

    Attributes
    ----------
    eligible : bool
    reason : Warned or None
        Why not, when not eligible.
    warnings : tuple of Warned
        Of headers and geometry, to be said beside the result.
    settled : bool
        A rejection that no further slice of this series can change.
    """

    eligible: bool
    reason: Warned | None = None
    warnings: tuple[Warned, ...] = ()
    settled: bool = False


def judge(slices: Sequence[Slice], geometry: Geometry, policy: SelectionPolicy | None = None) -> Eligibility:
    """Decide whether the series may be read; the rules stand at the top of this file.

    Parameters
    ----------
    slices : sequence of Slice
        All slices of the series.
    geometry : Geometry
        Of exactly these slices.
    policy : SelectionPolicy, optional
    """
    policy = policy or SelectionPolicy()
    members = [slices[i] for i in geometry.order]
    if not members:
        return _rejected(geometry.refusal or because("TOO_FEW_SLICES"), geometry.warnings)
    kernel = kernel_of_series(members)
    is_head = head_evidence(members, geometry, policy.max_extent_mm)
    for reason in (
        *_not_original(members),
        *_not_plain_axial(members, geometry, policy),
        *([is_head.rejection] if is_head.rejection and is_head.rejection.code in SETTLED else []),
        *([because("BONE_KERNEL")] if kernel is Kernel.BONE and not policy.bone_kernel_allowed else []),
        *([geometry.refusal] if geometry.refusal else []),
        *_out_of_size(geometry, policy),
        *([is_head.rejection] if is_head.rejection else []),
    ):
        return _rejected(reason, geometry.warnings)
    warnings = (
        *geometry.warnings,
        *is_head.warnings,
        *_header_warnings(members),
        *([because("UNKNOWN_KERNEL")] if kernel is Kernel.UNKNOWN else []),
        *(
            [because("LIMITED_COVERAGE", f"{geometry.extent_mm:.0f} mm")]
            if geometry.extent_mm < policy.full_extent_mm
            else []
        ),
    )
    return Eligibility(True, warnings=warnings)


def _rejected(reason: Warned, warnings: tuple[Warned, ...]) -> Eligibility:
    return Eligibility(False, reason, warnings, settled=reason.code in SETTLED)


def _not_original(members: Sequence[Slice]) -> Iterator[Warned]:
    described = any(LOCALIZER_WORDS.search((s.series_description or "").upper()) for s in members)
    axial = any("AXIAL" in s.image_type for s in members)
    if described and not axial and len(members) <= _FEW_LOCALIZERS:
        yield because("LOCALIZER")
    if 2 * sum(map(_is_derived, members)) > len(members):
        yield because("DERIVED")


def _is_derived(one: Slice) -> bool:
    if _CALCULATED.search(re.sub(r"[^A-Z0-9]+", " ", " ".join(one.image_type[2:]).upper())):
        return True
    return one.image_type[:2] == ("DERIVED", "SECONDARY")


def _not_plain_axial(members: Sequence[Slice], geometry: Geometry, policy: SelectionPolicy) -> Iterator[Warned]:
    if any(geometry.normal):
        leaning_deg = math.degrees(math.acos(min(1.0, abs(geometry.normal[2]))))
        if leaning_deg > policy.axial_within_deg:
            yield because("NOT_AXIAL", f"{leaning_deg:.0f} degrees from the axial plane")
    types = {s.rescale_type.upper() for s in members if s.rescale_type}
    if types - _HOUNSFIELD_TYPES:
        yield because("NOT_HOUNSFIELD")
    if any(is_given(agent) for agent in {s.contrast_agent for s in members}):
        yield because("CONTRAST", "a contrast agent is named")
    if any(contrast_of(text) is Contrast.GIVEN for text in {s.series_description for s in members}):
        yield because("CONTRAST", "the series description says so")


def _out_of_size(geometry: Geometry, policy: SelectionPolicy) -> Iterator[Warned]:
    thickness_mm, spacing_mm = geometry.thickness_mm or 0.0, geometry.spacing_mm or 0.0
    count = len(geometry.order)
    if thickness_mm > policy.max_thickness_mm:
        yield because("SLICES_TOO_THICK", f"{thickness_mm:.1f} mm, at most {policy.max_thickness_mm:.1f} mm is read")
    if count < policy.min_slices:
        yield because("TOO_FEW_SLICES", f"{count}, at least {policy.min_slices} are needed")
    if geometry.extent_mm < policy.min_extent_mm:
        yield because("COVERAGE_TOO_SHORT", f"{geometry.extent_mm:.0f} mm, at least {policy.min_extent_mm:.0f} mm")
    if spacing_mm > policy.max_spacing_mm:
        yield because("SPACING_TOO_WIDE", f"{spacing_mm:.1f} mm, at most {policy.max_spacing_mm:.1f} mm")


def _header_warnings(members: Sequence[Slice]) -> Iterator[Warned]:
    said = {contrast_of(text) for text in {s.series_description for s in members}}
    around = {contrast_of(text) for text in {t for s in members for t in (s.protocol_name, s.study_description)}}
    if Contrast.MIXED in said or (Contrast.PLAIN not in said and around & {Contrast.GIVEN, Contrast.MIXED}):
        yield because("CONTRAST_UNCLEAR")
    if not all(s.image_type for s in members):
        yield because("IMAGE_TYPE_UNKNOWN")
    if {Kernel.SOFT, Kernel.BONE} <= {kernel_of(s) for s in members}:
        yield because("MIXED_KERNELS")
    if any(s.burned_in == "YES" for s in members):
        yield because("BURNED_IN_ANNOTATION")
