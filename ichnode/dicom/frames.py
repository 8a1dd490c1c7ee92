"""The frames of Enhanced CT and Legacy Converted Enhanced CT, each laid out like a single-frame instance."""

from __future__ import annotations

from ichnode.dicom import tags
from ichnode.dicom.elements import Elements, Wanted
from ichnode.dicom.slice_facts import SLICE_TAGS
from ichnode.dicom.values import code_string, integer, short

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_CONVERTED_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"

_MACROS: dict[int, Wanted | None] = {
    tags.PLANE_POSITION_SEQUENCE: dict.fromkeys((tags.IMAGE_POSITION_PATIENT,)),
    tags.PLANE_ORIENTATION_SEQUENCE: dict.fromkeys((tags.IMAGE_ORIENTATION_PATIENT,)),
    tags.PIXEL_MEASURES_SEQUENCE: dict.fromkeys((tags.PIXEL_SPACING, tags.SLICE_THICKNESS)),
    tags.PIXEL_VALUE_TRANSFORMATION_SEQUENCE: dict.fromkeys(
        (tags.RESCALE_INTERCEPT, tags.RESCALE_SLOPE, tags.RESCALE_TYPE)
    ),
    tags.CT_IMAGE_FRAME_TYPE_SEQUENCE: dict.fromkeys((tags.FRAME_TYPE,)),
    tags.CT_RECONSTRUCTION_SEQUENCE: dict.fromkeys((tags.CONVOLUTION_KERNEL, tags.CONVOLUTION_KERNEL_GROUP)),
    tags.CT_ACQUISITION_DETAILS_SEQUENCE: dict.fromkeys((tags.GANTRY_DETECTOR_TILT,)),
    tags.FRAME_ANATOMY_SEQUENCE: {tags.ANATOMIC_REGION_SEQUENCE: SLICE_TAGS[tags.ANATOMIC_REGION_SEQUENCE]},
    tags.FRAME_CONTENT_SEQUENCE: dict.fromkeys((tags.FRAME_ACQUISITION_NUMBER,)),
    tags.CONTRAST_BOLUS_USAGE_SEQUENCE: dict.fromkeys((tags.CONTRAST_BOLUS_AGENT_ADMINISTERED,)),
    tags.UNASSIGNED_SHARED_CONVERTED_ATTRIBUTES_SEQUENCE: SLICE_TAGS,
    tags.UNASSIGNED_PER_FRAME_CONVERTED_ATTRIBUTES_SEQUENCE: SLICE_TAGS,
}
"""Functional group macros (PS3.3 C.7.6.16.2, C.8.15.3) and what is read of each."""

FUNCTIONAL_GROUPS: dict[int, Wanted | None] = {
    tags.NUMBER_OF_FRAMES: None,
    tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE: _MACROS,
    tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE: _MACROS,
}


def frames_of(found: Elements, sop_class_uid: str, *, big_endian: bool) -> list[Elements]:
    """Lay out every frame as if it were an instance of its own.

    Parameters
    ----------
    found : Elements
        Of the whole data set.
    sop_class_uid : str
    big_endian : bool
        Byte order of US values.

    Returns
    -------
    list of Elements
        The data set itself for any other SOP class. Attributes of the frame stand before those of the shared
        functional groups, and these before the data set's own. Frames without an item of their own, and items beyond
        Number of Frames, are left out: they have no place or no pixels.
    """
    if sop_class_uid not in (ENHANCED_CT, LEGACY_CONVERTED_ENHANCED_CT):
        return [found]
    shared = _first(found, tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
    common = {k: v for k, v in found.items() if k not in FUNCTIONAL_GROUPS} | _flat(shared)
    items = _items(found, tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
    number = found.get(tags.NUMBER_OF_FRAMES)
    count = integer(number) if isinstance(number, bytes) else None
    frames = [_renamed(common | _flat(item), big_endian) for item in items[: count if count and count > 0 else None]]
    return frames or [_renamed(common, big_endian)]


def _flat(groups: Elements) -> Elements:
    """Put the attributes of all macros of one item side by side; they share no tag but those converted as they were."""
    flat: Elements = {}
    for converted in (True, False):  # what has a macro of its own is the better source
        for tag in groups:
            if converted == (tag in _CONVERTED):
                flat |= _first(groups, tag)
                if tag == tags.CONTRAST_BOLUS_USAGE_SEQUENCE:
                    flat[tag] = groups[tag]
    return flat


def _renamed(frame: Elements, big_endian: bool) -> Elements:
    """Move what has another attribute in multi-frame objects to that of single-frame ones."""
    if tags.FRAME_TYPE in frame:
        frame[tags.IMAGE_TYPE] = frame[tags.FRAME_TYPE]
    acquisition = frame.get(tags.FRAME_ACQUISITION_NUMBER)
    number = short(acquisition, big_endian=big_endian) if isinstance(acquisition, bytes) else None
    if number is not None:
        frame[tags.ACQUISITION_NUMBER] = str(number).encode("ascii")
    group = frame.get(tags.CONVOLUTION_KERNEL_GROUP)
    if isinstance(group, bytes):
        kernel = frame.get(tags.CONVOLUTION_KERNEL)
        frame[tags.CONVOLUTION_KERNEL] = kernel.rstrip(b" ") + b"\\" + group if isinstance(kernel, bytes) else group
    usage = _items(frame, tags.CONTRAST_BOLUS_USAGE_SEQUENCE)
    administered = [item.get(tags.CONTRAST_BOLUS_AGENT_ADMINISTERED) for item in usage]
    if usage and all(isinstance(a, bytes) and code_string(a) == "NO" for a in administered):
        # An agent that was prepared but had not been given when this frame was taken (PS3.3 C.7.6.16.2.12).
        frame.pop(tags.CONTRAST_BOLUS_AGENT_SEQUENCE, None)
    return frame


def _first(found: Elements, tag: int) -> Elements:
    items = _items(found, tag)
    return items[0] if items else {}


def _items(found: Elements, tag: int) -> list[Elements]:
    value = found.get(tag)
    return value if isinstance(value, list) else []


_CONVERTED = (
    tags.UNASSIGNED_SHARED_CONVERTED_ATTRIBUTES_SEQUENCE,
    tags.UNASSIGNED_PER_FRAME_CONVERTED_ATTRIBUTES_SEQUENCE,
)
