"""All of the report but its content tree: patient, study, series, equipment, document and evidence (PS3.3 A.35.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timedelta, timezone

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import ComprehensiveSRStorage

from ichnode.core.findings import Outcome
from ichnode.core.identity import derived_uid
from ichnode.errors import BadObject
from ichnode.reporting import codes
from ichnode.reporting.facts import DeviceFacts, ModelFacts, ReportIdentity, ReportReference
from ichnode.reporting.sentences import ascii_only

SERIES_DESCRIPTION = "ICH AI result (investigational)"

_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_TYPE_3 = (
    "SpecificCharacterSet", "IssuerOfPatientID", "TypeOfPatientID", "OtherPatientIDsSequence", "PatientAge",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence", "QualityControlSubject",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "AdmissionID", "IssuerOfAdmissionIDSequence",
)  # fmt: skip
_REQUEST = (
    "AccessionNumber", "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID", "RequestedProcedureDescription",
)  # fmt: skip
_SCANNER = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")
_OFFSET = re.compile(r"([+-])(0\d|1[0-4])([0-5]\d)")


def report_header(
    header: Dataset, outcome: Outcome, *, model: ModelFacts | None, device: DeviceFacts, identity: ReportIdentity
) -> Dataset:
    """Return the report without its tree and evidence; patient and study as the CT has them, empty where it has none.

    Raises
    ------
    BadObject
        The header has no Study Instance UID.
    """
    report = Dataset()
    if not header.get("StudyInstanceUID"):
        raise BadObject("The series cannot be reported on: its images have no Study Instance UID.")
    report.StudyInstanceUID = str(header.StudyInstanceUID)
    _copy(header, report, type_2=_TYPE_2, type_3=_TYPE_3)
    _say_how_deidentified(report)

    local = _in_time_zone_of(header, identity.content_at)
    report.TimezoneOffsetFromUTC = local.strftime("%z")[:5]
    report.ContentDate = report.SeriesDate = local.strftime("%Y%m%d")
    report.ContentTime = report.SeriesTime = local.strftime("%H%M%S.%f")
    report.Modality = "SR"
    report.SeriesInstanceUID = identity.series_instance_uid
    report.SeriesNumber = identity.series_number
    report.SeriesDescription = SERIES_DESCRIPTION
    report.ReferencedPerformedProcedureStepSequence = []

    report.update(_equipment(device))
    report.StationName = ascii_only(device.station_aet)[:16]
    if model is not None:  # other weights are another device
        report.DeviceUID = derived_uid("device", model.digest)
    report.ContributingEquipmentSequence = _contributors(header, model, device, identity)

    report.SOPClassUID = ComprehensiveSRStorage
    report.SOPInstanceUID = identity.sop_instance_uid
    report.InstanceNumber = identity.instance_number
    report.ContentQualification = "RESEARCH"
    # FINAL: this node expects to send no later version. It says nothing of a physician: that is VerificationFlag.
    report.CompletionFlag = "PARTIAL" if outcome.preliminary else "COMPLETE"
    report.PreliminaryFlag = "PRELIMINARY" if outcome.preliminary else "FINAL"
    if outcome.missing is not None:
        report.CompletionFlagDescription = ascii_only(f"Missing: {outcome.missing}")[:64]
    report.VerificationFlag = "UNVERIFIED"
    report.PerformedProcedureCodeSequence = []
    requests = [_request(item, report.StudyInstanceUID) for item in header.get("RequestAttributesSequence") or ()]
    if requests:
        report.ReferencedRequestSequence = requests
    return report


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


def _copy(source: Dataset, target: Dataset, *, type_2: Sequence[str] = (), type_3: Sequence[str] = ()) -> None:
    """Copy attributes; a missing one of type 2 becomes empty, an empty one of type 3 is left out.

    What has not been decoded is copied as the bytes that it is, so that a name survives whatever is said, or not said,
    of its character set.
    """
    for keyword in (*type_2, *type_3):
        tag = Tag(keyword)
        element = source.get_item(tag)
        if isinstance(element, RawDataElement) and dictionary_VR(tag) == "SQ":
            element = source[tag]
        if element is None or not element.value:
            if keyword in type_2:
                setattr(target, keyword, None)
        elif isinstance(element, RawDataElement):
            target[tag] = element._replace(VR=dictionary_VR(tag))
        else:
            target[tag] = deepcopy(element)
    target.set_original_encoding(False, True, source.original_character_set)


def _say_how_deidentified(report: Dataset) -> None:
    """PS3.3 C.7.1.1: a method is required where identity was removed; many de-identifiers leave it empty."""
    stated = report.get("DeidentificationMethod") or report.get("DeidentificationMethodCodeSequence")
    if report.get("PatientIdentityRemoved") == "YES" and not stated:
        report.DeidentificationMethod = "Not stated in the source images"


def _in_time_zone_of(header: Dataset, moment: datetime) -> datetime:
    """Return the moment in the CT's zone, since one offset (0008,0201) holds for the copied study time as well."""
    found = _OFFSET.fullmatch(str(header.get("TimezoneOffsetFromUTC") or "").strip())
    if found is None:
        return moment
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return moment.astimezone(timezone(-offset if found[1] == "-" else offset))


def _equipment(device: DeviceFacts) -> Dataset:
    made_by = Dataset()
    made_by.Manufacturer = ascii_only(device.manufacturer)[:64]
    made_by.ManufacturerModelName = ascii_only(device.model)[:64]
    made_by.DeviceSerialNumber = ascii_only(device.serial)[:64]
    made_by.SoftwareVersions = ascii_only(device.software_version)[:64]
    return made_by


def _contributors(
    header: Dataset, model: ModelFacts | None, device: DeviceFacts, identity: ReportIdentity
) -> list[Dataset]:
    """The scanner, then the node with its model, whose versions name the very weights."""
    contributors = []
    if header.get("Manufacturer"):  # type 1 within the item
        scanner = Dataset()
        _copy(header, scanner, type_3=_SCANNER)
        scanner.PurposeOfReferenceCodeSequence = [_code_item(codes.ACQUISITION_EQUIPMENT)]
        contributors.append(scanner)
    node = _equipment(device)
    node.PurposeOfReferenceCodeSequence = [_code_item(codes.PROCESSING_EQUIPMENT)]
    node.ContributionDateTime = identity.content_at.strftime("%Y%m%d%H%M%S.%f%z")[:26]
    node.ContributionDescription = f"Report, revision {identity.revision}"
    if model is not None:
        versions = (device.software_version, f"{model.name} {model.version}", model.digest)
        node.SoftwareVersions = [ascii_only(version)[:64] for version in versions]
        node.ContributionDescription += ascii_only(f", by model {model.name} {model.version}")
    return [*contributors, node]


def _request(attributes: Dataset, study: str) -> Dataset:
    """Turn an item of Request Attributes (0040,0275) into one of Referenced Request (0040,A370)."""
    request = Dataset()
    request.StudyInstanceUID = attributes.get("StudyInstanceUID") or study
    _copy(attributes, request, type_2=_REQUEST)
    request.ReferencedStudySequence = []
    request.RequestedProcedureCodeSequence = [
        deepcopy(code)
        for code in attributes.get("RequestedProcedureCodeSequence") or ()
        if code.get("CodeValue") and code.get("CodingSchemeDesignator") and code.get("CodeMeaning")
    ]
    return request


def _code_item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code[:3]
    return item
