"""Results that are taken back: the rejection note of IHE IOCM (Imaging Object Change Management).

An archive that follows IOCM hides what such a note references; for any other it is a Key Object Selection that says in
words that the results are withdrawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    KeyObjectSelectionDocumentStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from ichnode.reporting import codes
from ichnode.reporting.document import evidence_item
from ichnode.reporting.facts import DeviceFacts, ReportIdentity, ReportReference
from ichnode.reporting.header import object_header
from ichnode.reporting.key_object_selection import key_object_selection, reference_item
from ichnode.reporting.part10 import as_file
from ichnode.reporting.sentences import NEW_LINE, ascii_only

REJECTION_NOTE = KeyObjectSelectionDocumentStorage
SERIES_NUMBER = 9109
SERIES_DESCRIPTION = "ICH AI results withdrawn (investigational)"
TITLES: Mapping[str, tuple[Code, str]] = MappingProxyType(
    {
        "wrong-result": (codes.REJECTED_FOR_SAFETY, "The AI results referenced here are withdrawn: they were wrong."),
        "wrong-patient": (
            codes.REJECTED_WRONG_PATIENT,
            "The AI results referenced here are withdrawn: they are not of this patient.",
        ),
    }
)
"""Title and sentence for each reason."""

_IMAGES = (
    SecondaryCaptureImageStorage, MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage, ParametricMapStorage,
)  # fmt: skip


def build_rejection(
    header: Dataset,
    rejected: Sequence[ReportReference],
    *,
    because: str,
    device: DeviceFacts,
    identity: ReportIdentity,
    remark: str,
) -> bytes:
    """Return the rejection note as the bytes of a PS3.10 file.

    Parameters
    ----------
    header : Dataset
        Any of the rejected objects, or an image of the series that they are about; without pixels. Never changed.
    rejected : sequence of ReportReference
        At least one; all of the study of `header`.
    because : str
        A key of `TITLES`.
    identity : ReportIdentity
        Of the note.
    remark : str
        A sentence on what takes their place, if anything; may be empty.

    Returns
    -------
    bytes
        The same for the same input.

    Raises
    ------
    ValueError
        Nothing is rejected, or something of another study than the header's, or for a reason that is not in `TITLES`.
    """
    if because not in TITLES:
        raise ValueError(f"results are rejected because of {', '.join(TITLES)}; not of {because}")
    studies = {reference.study_instance_uid for reference in rejected}
    if studies != {str(header.get("StudyInstanceUID"))}:
        raise ValueError("a rejection note needs results of the study that it is filed in, and of no other")
    title, sentence = TITLES[because]
    with pydicom.config.disable_value_validation():
        made = object_header(header, device, identity, "KO", SERIES_DESCRIPTION, "Rejection note")
        references = [
            reference_item(
                "IMAGE" if r.sop_class_uid in _IMAGES else "COMPOSITE", r.sop_class_uid, r.sop_instance_uid
            )
            for r in rejected
        ]  # fmt: skip
        lines = [line for line in (sentence, ascii_only(remark)) if line]
        note = key_object_selection(
            made, header, title, NEW_LINE.join(lines), references, [_evidence(rejected)], device
        )  # fmt: skip
        return as_file(note, device)


def _evidence(rejected: Sequence[ReportReference]) -> Dataset:
    """One item for the study, with an item for each series."""
    of_series: dict[str, dict[str, str]] = {}
    for reference in rejected:
        of_series.setdefault(reference.series_instance_uid, {})[reference.sop_instance_uid] = reference.sop_class_uid
    study = rejected[0].study_instance_uid
    first, *others = (evidence_item(study, series, instances) for series, instances in of_series.items())
    for other in others:
        first.ReferencedSeriesSequence.extend(other.ReferencedSeriesSequence)
    return first
