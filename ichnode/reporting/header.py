"""What every object of a result has in common: patient, study, series and equipment (PS3.3 C.7.1 to C.7.5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timedelta, timezone

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from ichnode.core.identity import derived_uid
from ichnode.errors import BadObject
from ichnode.reporting import codes
from ichnode.reporting.facts import Answer, DeviceFacts, ModelFacts, ReportIdentity
from ichnode.reporting.sentences import ascii_only

_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_TYPE_3 = (
    "SpecificCharacterSet", "IssuerOfPatientID", "TypeOfPatientID", "OtherPatientIDsSequence", "PatientAge",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence", "QualityControlSubject",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "AdmissionID", "IssuerOfAdmissionIDSequence",
)  # fmt: skip
_SCANNER = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")
_OFFSET = re.compile(r"([+-])(0\d|1[0-4])([0-5]\d)")


def result_header(answer: Answer, identity: ReportIdentity, modality: str, description: str) -> Dataset:
    """Return an object without its own modules; patient and study as the CT has them, empty where it has none.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    """
    if not answer.header.get("SeriesInstanceUID"):
        raise BadObject("The series cannot be reported on: its images have no Series Instance UID.")
    made = object_header(answer.header, answer.device, identity, modality, description, "Report", answer.model)
    if answer.model is not None:  # other weights are another device
        made.DeviceUID = derived_uid("device", answer.model.digest)
    return made


def object_header(
    header: Dataset,
    device: DeviceFacts,
    identity: ReportIdentity,
    modality: str,
    description: str,
    what: str,
    model: ModelFacts | None = None,
) -> Dataset:
    """Return an object without its own modules, of the patient and study of `header`.

    Parameters
    ----------
    header : Dataset
        An image, or another object of the same study, without pixels. Never changed.
    what : str
        What the node contributed, for the Contributing Equipment Sequence.

    Raises
    ------
    BadObject
        The header has no Study Instance UID.
    """
    made = Dataset()
    if not header.get("StudyInstanceUID"):
        raise BadObject("The series cannot be reported on: its images have no Study Instance UID.")
    made.StudyInstanceUID = str(header.StudyInstanceUID)
    copy_attributes(header, made, type_2=_TYPE_2, type_3=_TYPE_3)
    _say_how_deidentified(made)

    local = _in_time_zone_of(header, identity.content_at)
    made.TimezoneOffsetFromUTC = local.strftime("%z")[:5]
    made.ContentDate = made.SeriesDate = local.strftime("%Y%m%d")
    made.ContentTime = made.SeriesTime = local.strftime("%H%M%S.%f")
    made.Modality = modality
    made.SeriesInstanceUID = identity.series_instance_uid
    made.SeriesNumber = identity.series_number
    made.SeriesDescription = description

    made.update(_equipment(device))
    made.StationName = ascii_only(device.station_aet)[:16]
    made.ContributingEquipmentSequence = _contributors(header, model, device, identity, what)
    made.SOPInstanceUID = identity.sop_instance_uid
    made.InstanceNumber = identity.instance_number
    return made


def copy_attributes(
    source: Dataset, target: Dataset, *, type_2: Sequence[str] = (), type_3: Sequence[str] = ()
) -> None:
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
    header: Dataset, model: ModelFacts | None, device: DeviceFacts, identity: ReportIdentity, what: str
) -> list[Dataset]:
    """The scanner, then the node with its model, whose versions name the very weights."""
    contributors = []
    if header.get("Modality") == "CT" and header.get("Manufacturer"):  # type 1 within the item
        scanner = Dataset()
        copy_attributes(header, scanner, type_3=_SCANNER)
        scanner.PurposeOfReferenceCodeSequence = [code_item(codes.ACQUISITION_EQUIPMENT)]
        contributors.append(scanner)
    node = _equipment(device)
    node.PurposeOfReferenceCodeSequence = [code_item(codes.PROCESSING_EQUIPMENT)]
    node.ContributionDateTime = identity.content_at.strftime("%Y%m%d%H%M%S.%f%z")[:26]
    node.ContributionDescription = f"{what}, revision {identity.revision}"
    if model is not None:
        # Not the digest last: where the whole is of odd length, the last value is padded, and 65 are too many for LO.
        named = ascii_only(f"{model.name} {model.version}")[:63]
        node.SoftwareVersions = [ascii_only(device.software_version)[:64], model.digest, named]
        node.ContributionDescription += ascii_only(f", by model {model.name} {model.version}")
    return [*contributors, node]


def code_item(code: Code) -> Dataset:
    """Return the item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code[:3]
    return item
