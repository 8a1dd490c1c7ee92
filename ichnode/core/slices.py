"""What the node knows of one CT slice before it looks at pixels.

A slice is one single-frame CT instance, or one frame of an Enhanced CT or Legacy Converted Enhanced CT instance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Slice:
    """Header facts of one slice. ``None`` or an empty tuple means: the attribute is absent or empty.

    Attributes carry the DICOM keyword's meaning (PS3.3 C.7.6, C.8.2.1); lengths in mm, angles in degrees.
    """

    sop_instance_uid: str
    sop_class_uid: str
    frame: int = 1
    """1-based frame number; 1 for a single-frame instance."""
    transfer_syntax_uid: str = ""
    modality: str | None = None
    image_type: tuple[str, ...] = ()
    instance_number: int | None = None
    acquisition_number: int | None = None
    position_mm: Vector | None = None
    """ImagePositionPatient."""
    orientation: tuple[float, float, float, float, float, float] | None = None
    """ImageOrientationPatient: row cosines, then column cosines."""
    rows: int | None = None
    columns: int | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    """PixelSpacing: between rows, between columns."""
    thickness_mm: float | None = None
    gantry_tilt_deg: float | None = None
    """GantryDetectorTilt (0018,1120), as written by the scanner."""
    samples_per_pixel: int | None = None
    photometric: str | None = None
    bits_allocated: int | None = None
    bits_stored: int | None = None
    pixel_representation: int | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str | None = None
    pixel_padding: int | None = None
    pixel_padding_range_limit: int | None = None
    has_pixels: bool = True
    frame_of_reference_uid: str | None = None
    series_number: int | None = None
    series_description: str | None = None
    protocol_name: str | None = None
    study_description: str | None = None
    body_part: str | None = None
    kernel: tuple[str, ...] = ()
    """ConvolutionKernel."""
    contrast_agent: str | None = None
    """ContrastBolusAgent, or "present" where only the sequence or route says so."""
    manufacturer: str | None = None
    model_name: str | None = None
    scan_options: tuple[str, ...] = ()
    burned_in: str | None = None
    patient_position: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the facts that are present as a JSON-ready dict; `from_json` reads it back."""
        # Not `asdict`: it copies every value deeply, which took a tenth of the time that a slice costs.
        facts = ((name, getattr(self, name)) for name in _NAMES)
        return {name: value for name, value in facts if value is not None and value != ()}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Slice:
        """Rebuild a slice from `as_json`; unknown keys of a newer version are ignored."""
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items() if k in _NAMES}
        return cls(**known)


_NAMES = tuple(f.name for f in fields(Slice))


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """Patient and study attributes that the worklist shows; text as decoded from the object's character set."""

    study_instance_uid: str
    series_instance_uid: str
    patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    referring_physician: str = ""
    station_name: str = ""
    institution: str = ""
    priority: str = ""
    """Requested Procedure Priority (0040,1003)."""
