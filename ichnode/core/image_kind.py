"""What kind of image one CT object is, before its place matters: a slice, or something that travels with slices."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ichnode.core.slices import Slice

CT_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.1.2.1",
        "1.2.840.10008.5.1.4.1.1.2.2",
    }
)
"""CT Image Storage, Enhanced CT Image Storage, Legacy Converted Enhanced CT Image Storage."""
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

_LOCALIZER = re.compile(r"LOCALIZER|SCOUT|TOPOGRAM|SURVIEW|SCANOGRAM|CT_SOM\d+ TOP")
_PICTURE = re.compile(
    r"SCREEN.?SAVE|DOSE|PATIENT_INFO|PATIENT.PROTOCOL|PROTOCOL|RESULTS|CT_SOM\d+ PROT|REPORT|GRAPH|EVALUATION"
)
"""Words in Image Type by which vendors mark pages of text: dose reports, patient protocols, evaluation results."""


def not_a_slice(one: Slice) -> str | None:
    """Return the code of `ichnode.core.reasons` that says why this is no CT slice, None when it is one."""
    if one.sop_class_uid not in CT_CLASSES:
        return "SCREEN_SAVE" if one.sop_class_uid.startswith(_SECONDARY_CAPTURE) else "NOT_CT"
    if one.modality not in (None, "CT"):
        return "NOT_CT"
    kinds = " ".join(one.image_type[2:])
    if (one.samples_per_pixel or 1) > 1 or not (one.photometric or "MONOCHROME").startswith("MONOCHROME"):
        return "SCREEN_SAVE"
    if _LOCALIZER.search(kinds):
        return "LOCALIZER"
    if _PICTURE.search(kinds):
        return "SCREEN_SAVE"
    return None if one.has_pixels else "NO_PIXELS"


def volume_members(slices: Sequence[Slice]) -> tuple[list[int], list[int], str | None]:
    """Part the slices of a series from what travels with them.

    Returns
    -------
    members, aside : list of int
        Indices into `slices`, ascending.
    kind : str or None
        When there is no member, the code that holds for most of the others (on a tie the first by alphabet).
    """
    codes = [not_a_slice(s) for s in slices]
    members = [i for i, code in enumerate(codes) if code is None]
    aside = [i for i, code in enumerate(codes) if code is not None]
    if members or not aside:
        return members, aside, None
    named = sorted({code for code in codes if code is not None})
    return members, aside, max(named, key=codes.count)
