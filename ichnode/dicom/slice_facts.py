"""The facts of one slice from the elements of its data set; see `ichnode.core.slices.Slice`."""

from __future__ import annotations

from typing import cast

from ichnode.core.slices import Slice, Vector
from ichnode.dicom import tags
from ichnode.dicom.elements import Elements, Wanted
from ichnode.dicom.values import TextDecoder, code_string, code_strings, decimal, decimals, integer, positive, short

SLICE_TAGS: dict[int, Wanted | None] = {
    **dict.fromkeys(
        (
            tags.IMAGE_TYPE, tags.MODALITY, tags.MANUFACTURER, tags.SERIES_DESCRIPTION, tags.MANUFACTURER_MODEL_NAME,
            tags.STUDY_DESCRIPTION, tags.CONTRAST_BOLUS_AGENT, tags.BODY_PART_EXAMINED, tags.SCAN_OPTIONS,
            tags.SLICE_THICKNESS, tags.PROTOCOL_NAME, tags.CONTRAST_BOLUS_ROUTE, tags.GANTRY_DETECTOR_TILT,
            tags.CONVOLUTION_KERNEL, tags.PATIENT_POSITION, tags.SERIES_NUMBER, tags.ACQUISITION_NUMBER,
            tags.INSTANCE_NUMBER, tags.IMAGE_POSITION_PATIENT, tags.IMAGE_ORIENTATION_PATIENT,
            tags.FRAME_OF_REFERENCE_UID, tags.SAMPLES_PER_PIXEL, tags.PHOTOMETRIC_INTERPRETATION, tags.ROWS,
            tags.COLUMNS, tags.PIXEL_SPACING, tags.BITS_ALLOCATED, tags.BITS_STORED, tags.PIXEL_REPRESENTATION,
            tags.PIXEL_PADDING_VALUE, tags.PIXEL_PADDING_RANGE_LIMIT, tags.BURNED_IN_ANNOTATION,
            tags.RESCALE_INTERCEPT, tags.RESCALE_SLOPE, tags.RESCALE_TYPE,
        )
    ),
    tags.CONTRAST_BOLUS_AGENT_SEQUENCE: dict.fromkeys((tags.CODE_MEANING,)),
    tags.ANATOMIC_REGION_SEQUENCE: dict.fromkeys((tags.CODE_VALUE, tags.CODE_MEANING)),
}  # fmt: skip
"""What `slice_from` looks for."""

_REGIONS = {
    "69536005": "HEAD", "T-D1100": "HEAD", "12738006": "BRAIN", "T-A0100": "BRAIN", "89546000": "SKULL",
    "T-11100": "SKULL",
}  # fmt: skip
"""Codes of Anatomic Region (PS3.16 CID 4030) that are worth knowing without their meaning."""


def slice_from(
    found: Elements,
    text: TextDecoder,
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    number: int,
    has_pixels: bool,
    big_endian: bool,
) -> Slice:
    """Return the facts of the slice that `found` describes.

    Parameters
    ----------
    found : Elements
        Of a single-frame instance, or of one frame as `ichnode.dicom.frames.frames_of` lays it out.
    text : TextDecoder
    number : int
        1-based frame number.
    big_endian : bool
        Byte order of US and SS values.
    """
    raw = cast("dict[int, bytes]", found).get  # sequences are taken from `found` itself
    signed = short(raw(tags.PIXEL_REPRESENTATION), big_endian=big_endian)

    def us(tag: int) -> int | None:
        return short(raw(tag), big_endian=big_endian)

    def padding(tag: int) -> int | None:
        # US or SS, by Pixel Representation (PS3.5 6.2); the explicit VR is often the wrong one of the two.
        return short(raw(tag), big_endian=big_endian, signed=signed == 1)

    return Slice(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=sop_class_uid,
        frame=number,
        transfer_syntax_uid=transfer_syntax_uid,
        modality=code_string(raw(tags.MODALITY)),
        image_type=code_strings(raw(tags.IMAGE_TYPE)),
        instance_number=integer(raw(tags.INSTANCE_NUMBER)),
        acquisition_number=integer(raw(tags.ACQUISITION_NUMBER)),
        position_mm=cast("Vector | None", _exactly(3, raw(tags.IMAGE_POSITION_PATIENT))),
        orientation=cast(
            "tuple[float, float, float, float, float, float] | None",
            _exactly(6, raw(tags.IMAGE_ORIENTATION_PATIENT)),
        ),
        rows=us(tags.ROWS),
        columns=us(tags.COLUMNS),
        pixel_spacing_mm=_spacing(raw(tags.PIXEL_SPACING)),
        thickness_mm=positive(decimal(raw(tags.SLICE_THICKNESS))),
        gantry_tilt_deg=decimal(raw(tags.GANTRY_DETECTOR_TILT)),
        samples_per_pixel=us(tags.SAMPLES_PER_PIXEL),
        photometric=code_string(raw(tags.PHOTOMETRIC_INTERPRETATION)),
        bits_allocated=us(tags.BITS_ALLOCATED),
        bits_stored=us(tags.BITS_STORED),
        pixel_representation=signed,
        rescale_slope=decimal(raw(tags.RESCALE_SLOPE)),
        rescale_intercept=decimal(raw(tags.RESCALE_INTERCEPT)),
        rescale_type=text.text(raw(tags.RESCALE_TYPE)) or None,
        pixel_padding=padding(tags.PIXEL_PADDING_VALUE),
        pixel_padding_range_limit=padding(tags.PIXEL_PADDING_RANGE_LIMIT),
        has_pixels=has_pixels,
        frame_of_reference_uid=code_string(raw(tags.FRAME_OF_REFERENCE_UID)),
        series_number=integer(raw(tags.SERIES_NUMBER)),
        series_description=text.text(raw(tags.SERIES_DESCRIPTION)) or None,
        protocol_name=text.text(raw(tags.PROTOCOL_NAME)) or None,
        study_description=text.text(raw(tags.STUDY_DESCRIPTION)) or None,
        body_part=code_string(raw(tags.BODY_PART_EXAMINED)) or _region(found, text),
        kernel=text.texts(raw(tags.CONVOLUTION_KERNEL)),
        contrast_agent=_contrast(found, text),
        manufacturer=text.text(raw(tags.MANUFACTURER)) or None,
        model_name=text.text(raw(tags.MANUFACTURER_MODEL_NAME)) or None,
        scan_options=code_strings(raw(tags.SCAN_OPTIONS)),
        burned_in=code_string(raw(tags.BURNED_IN_ANNOTATION)),
        patient_position=code_string(raw(tags.PATIENT_POSITION)),
    )


def _exactly(count: int, raw: bytes | None) -> tuple[float, ...] | None:
    numbers = decimals(raw)
    return numbers if len(numbers) == count else None


def _spacing(raw: bytes | None) -> tuple[float, float] | None:
    numbers = decimals(raw)
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) > 0 else None


def _region(found: Elements, text: TextDecoder) -> str | None:
    for item in _items(found, tags.ANATOMIC_REGION_SEQUENCE):
        code = text.text(cast("bytes | None", item.get(tags.CODE_VALUE)))
        meaning = text.text(cast("bytes | None", item.get(tags.CODE_MEANING)))
        return _REGIONS.get(code) or meaning.upper() or None
    return None


def _contrast(found: Elements, text: TextDecoder) -> str | None:
    agent = text.text(cast("bytes | None", found.get(tags.CONTRAST_BOLUS_AGENT)))
    if agent:
        return agent
    route = text.text(cast("bytes | None", found.get(tags.CONTRAST_BOLUS_ROUTE)))
    return "present" if route or _items(found, tags.CONTRAST_BOLUS_AGENT_SEQUENCE) else None


def _items(found: Elements, tag: int) -> list[Elements]:
    value = found.get(tag)
    return value if isinstance(value, list) else []
