"""What every document has besides its content tree: flags, evidence, predecessor, request (PS3.3 C.17.2, C.17.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

from pydicom.dataset import Dataset

from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.header import copy_attributes, result_header
from ichnode.reporting.sentences import ascii_only

_REQUEST = (
    "AccessionNumber", "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID", "RequestedProcedureDescription",
)  # fmt: skip


def document_header(
    answer: Answer,
    identity: ReportIdentity,
    predecessors: Sequence[ReportReference],
    sop_class_uid: str,
    description: str,
) -> Dataset:
    """Return a Structured Report without its content tree.

    Parameters
    ----------
    predecessors : sequence of ReportReference
        The documents that this one replaces.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    """
    outcome = answer.outcome
    report = result_header(answer, identity, "SR", description)
    report.ReferencedPerformedProcedureStepSequence = []
    report.SOPClassUID = sop_class_uid
    # Not of the SR IODs, which may be extended (PS3.2, Standard Extended SOP Class): who files results by program can
    # tell by it that this is research output, without reading descriptions.
    report.ContentQualification = "RESEARCH"
    # FINAL: this node expects to send no later version. It says nothing of a physician: that is VerificationFlag.
    report.CompletionFlag = "PARTIAL" if outcome.preliminary else "COMPLETE"
    report.PreliminaryFlag = "PRELIMINARY" if outcome.preliminary else "FINAL"
    if outcome.missing is not None:
        report.CompletionFlagDescription = ascii_only(f"Missing: {outcome.missing}")[:64]
    report.VerificationFlag = "UNVERIFIED"
    report.PerformedProcedureCodeSequence = []
    requests = referenced_requests(answer.header)
    if requests:
        report.ReferencedRequestSequence = requests
    report.CurrentRequestedProcedureEvidenceSequence = [evidence_of(answer)]
    if predecessors:
        report.PredecessorDocumentsSequence = [predecessor_item(reference) for reference in predecessors]
    return report


def evidence_of(answer: Answer) -> Dataset:
    """Return the evidence item that lists every instance of the series."""
    header = answer.header
    return evidence_item(str(header.StudyInstanceUID), str(header.SeriesInstanceUID), answer.sop_classes)


def evidence_item(study: str, series: str, sop_classes: Mapping[str, str]) -> Dataset:
    """Return an item of an evidence or predecessor sequence (PS3.3 10.3, Hierarchical SOP Instance Reference macro).

    Parameters
    ----------
    study, series : str
        Instance UIDs.
    sop_classes : mapping of SOP Instance UID to SOP Class UID
    """
    item, of_series = Dataset(), Dataset()
    of_series.SeriesInstanceUID = series
    of_series.ReferencedSOPSequence = []
    for instance, sop_class in sop_classes.items():
        reference = Dataset()
        reference.ReferencedSOPClassUID = sop_class
        reference.ReferencedSOPInstanceUID = instance
        of_series.ReferencedSOPSequence.append(reference)
    item.StudyInstanceUID = study
    item.ReferencedSeriesSequence = [of_series]
    return item


def predecessor_item(reference: ReportReference) -> Dataset:
    """Return the item of the Predecessor Documents Sequence (0040,A360) for the report that this one replaces."""
    instances = {reference.sop_instance_uid: reference.sop_class_uid}
    return evidence_item(reference.study_instance_uid, reference.series_instance_uid, instances)


def referenced_requests(header: Dataset) -> list[Dataset]:
    """Return the Referenced Request Sequence (0040,A370) for the CT's Request Attributes; empty where it has none."""
    study = str(header.StudyInstanceUID)
    return [_request(item, study) for item in header.get("RequestAttributesSequence") or ()]


def _request(attributes: Dataset, study: str) -> Dataset:
    """Turn an item of Request Attributes (0040,0275) into one of Referenced Request (0040,A370)."""
    request = Dataset()
    request.StudyInstanceUID = attributes.get("StudyInstanceUID") or study
    copy_attributes(attributes, request, type_2=_REQUEST)
    request.ReferencedStudySequence = []
    request.RequestedProcedureCodeSequence = [
        deepcopy(code)
        for code in attributes.get("RequestedProcedureCodeSequence") or ()
        if code.get("CodeValue") and code.get("CodingSchemeDesignator") and code.get("CodeMeaning")
    ]
    return request
