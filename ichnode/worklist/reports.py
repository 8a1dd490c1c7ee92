"""The row of one DICOM object that says a result, or takes one back."""

from __future__ import annotations

from dataclasses import dataclass

REJECTION = "rejection"
"""Kind of a rejection note, which is not one of the formats of an answer and outlives the answer that it rejects."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One DICOM object; its kind is the name of a format, or ``rejection``."""

    kind: str
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    file: str
    size: int
