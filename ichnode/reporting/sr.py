"""The Structured Report: a TID 1500 Comprehensive SR for every outcome, positive, negative or not analysed."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pydicom.config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ichnode.core.findings import CLASSES, Outcome, Verdict, verdict_of
from ichnode.core.identity import IMPLEMENTATION_CLASS_UID
from ichnode.errors import BadObject
from ichnode.reporting.facts import DeviceFacts, ModelFacts, ReportIdentity, ReportReference
from ichnode.reporting.header import evidence_item, predecessor_item, report_header
from ichnode.reporting.sentences import ascii_only

__all__ = ["DeviceFacts", "ModelFacts", "ReportIdentity", "ReportReference", "build_sr"]


def build_sr(
    header: Dataset,
    evidence: Sequence[tuple[str, str]],
    outcome: Outcome,
    *,
    model: ModelFacts | None,
    device: DeviceFacts,
    identity: ReportIdentity,
    predecessor: ReportReference | None,
) -> bytes:
    """Return the report as the bytes of a PS3.10 file: a Comprehensive SR (1.2.840.10008.5.1.4.1.1.88.33), TID 1500.

    Parameters
    ----------
    header : Dataset
        Any image of the analysed series, without pixels. Left as it is. May lack every type 2 attribute.
    evidence : sequence of (SOP Class UID, SOP Instance UID)
        Every instance of the series, in any order; at least one.
    outcome : Outcome
    model : ModelFacts or None
        None only where nothing was analysed.
    device : DeviceFacts
    identity : ReportIdentity
    predecessor : ReportReference or None
        The report that this one replaces.

    Returns
    -------
    bytes
        The same for the same input.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        The outcome contradicts itself: a verdict that is not its findings', findings without a model, a score that
        is no number, a key slice that is not among the evidence, no evidence.
    """
    from ichnode.reporting.tree import report_tree

    _check(outcome)
    sop_classes = {instance: sop_class for sop_class, instance in sorted(evidence)}
    if not sop_classes:
        raise ValueError("a report needs the instances that it is about")
    # A CT with an illegal value (a sex of "Male", a birth date in words) is reported on all the same, as it is.
    with pydicom.config.disable_value_validation():
        series = str(header.get("SeriesInstanceUID") or "")
        if not series:
            raise BadObject("The series cannot be reported on: its images have no Series Instance UID.")
        report = report_header(header, outcome, model=model, device=device, identity=identity)
        report.CurrentRequestedProcedureEvidenceSequence = [evidence_item(report.StudyInstanceUID, series, sop_classes)]
        if predecessor is not None:
            report.PredecessorDocumentsSequence = [predecessor_item(predecessor)]
        tree = report_tree(outcome, sop_classes=sop_classes, series_instance_uid=series, model=model, device=device)
        report.update(tree)
        return _as_file(report, device)


def _check(outcome: Outcome) -> None:
    if outcome.verdict is Verdict.NOT_ANALYSED:
        if outcome.findings or outcome.reason is None:
            raise ValueError("a series that was not analysed has a reason and no findings")
    elif tuple(f.name for f in outcome.findings) != CLASSES:
        raise ValueError("an analysed series has one finding for each class")
    elif outcome.verdict is not verdict_of(outcome.findings):
        raise ValueError("the verdict is not that of the findings")


def _as_file(report: Dataset, device: DeviceFacts) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = report.SOPClassUID
    meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = ascii_only(f"ICHNODE_{device.software_version}")[:16]
    report.file_meta = meta
    with BytesIO() as file:
        report.save_as(file, enforce_file_format=True)
        return file.getvalue()
