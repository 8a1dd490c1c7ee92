"""What any Structured Report of ichnode has to have besides its own tree; the validators see little of it."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_NEEDED = (
    "TimezoneOffsetFromUTC", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime", "Manufacturer",
    "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName", "InstanceNumber",
    "ContributingEquipmentSequence", "CurrentRequestedProcedureEvidenceSequence",
)  # fmt: skip
_NOT_OF_A_DOCUMENT = ("FrameOfReferenceUID", "BodyPartExamined", "ImagePositionPatient", "Rows", "PixelData")
_CONTEXT = {"121049": "en-US", "121005": "121007"}
"""Language and observer type, with their values; the device itself is what `context` counts."""
_DEVICE = ("121012", "121013", "121014", "121015", "121016")


def name(item: Dataset) -> str:
    """Return the code value of the item's concept name; empty where it has none."""
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""


def value(item: Dataset) -> str:
    """Return the code value of a CODE item."""
    return str(item.ConceptCodeSequence[0].CodeValue)


def children(item: Dataset, code: str) -> list[Dataset]:
    """Return the items right below `item` that have a concept name."""
    return [child for child in item.get("ContentSequence") or () if name(child) == code]


def texts(item: Dataset, code: str) -> list[str]:
    """Return the text of each TEXT item right below `item` that has a concept name."""
    return [str(child.TextValue) for child in children(item, code) if child.ValueType == "TEXT"]


def texts_of(selection: Dataset) -> list[str]:
    """Return the descriptions of a Key Object Selection."""
    return texts(selection, "113012")


def walk(item: Dataset) -> Iterator[Dataset]:
    """Yield every content item below `item`."""
    for child in item.get("ContentSequence") or ():
        yield child
        yield from walk(child)


def header(report: Dataset, description: str, sop_classes: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with the attributes outside of the tree."""
    expected = {
        "Modality": "SR",
        "VerificationFlag": "UNVERIFIED",
        "ContentQualification": "RESEARCH",
        "SeriesDescription": description,
    }
    yield from (
        f"{keyword} is {report.get(keyword)}" for keyword, text in expected.items() if report.get(keyword) != text
    )
    if report.SOPClassUID not in sop_classes or report.file_meta.MediaStorageSOPClassUID != report.SOPClassUID:
        yield f"SOP Class {report.SOPClassUID} in a file of {report.file_meta.MediaStorageSOPClassUID}"
    if report.file_meta.MediaStorageSOPInstanceUID != report.SOPInstanceUID:
        yield "the file is of another instance"
    if (report.get("CompletionFlag"), report.get("PreliminaryFlag")) not in (
        ("COMPLETE", "FINAL"),
        ("PARTIAL", "PRELIMINARY"),
    ):
        yield f"flags {report.get('CompletionFlag')}, {report.get('PreliminaryFlag')} contradict each other"
    yield from (f"{keyword} is missing" for keyword in _NEEDED if not report.get(keyword))
    yield from (f"{keyword} is not of a document" for keyword in _NOT_OF_A_DOCUMENT if keyword in report)


def context(report: Dataset) -> Iterator[str]:
    """Yield what is wrong with language and observer: a device speaks, not a person."""
    for code, expected in _CONTEXT.items():
        if [value(item) for item in children(report, code)] != [expected]:
            yield f"item {code} is not {expected}, once"
    for code in _DEVICE:
        if len(children(report, code)) != 1:
            yield f"{len(children(report, code))} items {code} of the observer"


def items(report: Dataset, permitted: dict[str, tuple[tuple[str, ...], str]]) -> Iterator[str]:
    """Yield every item of another value type or relationship than its concept name is permitted, and what is inside.

    Parameters
    ----------
    permitted : dict of concept name to (value types, relationship)
    """
    for item in [report, *walk(report)]:
        if item is not report:
            kinds, relationship = permitted.get(name(item), ((), ""))
            if item.ValueType not in kinds or item.get("RelationshipType") != relationship:
                yield f"{name(item)} is {item.ValueType} with {item.get('RelationshipType')}"
        if item.ValueType == "CONTAINER" and item.get("ContinuityOfContent") != "SEPARATE":
            yield f"container {name(item)} is {item.get('ContinuityOfContent')}"
        if item.ValueType == "CONTAINER" and not item.get("ContentSequence"):
            yield f"container {name(item)} is empty"
        if item.ValueType != "CONTAINER" and item.get("ContentSequence"):
            yield f"{item.ValueType} {name(item)} has children"
        if item.ValueType == "TEXT":
            lines = str(item.TextValue).split("\r\n")
            if not all(line.isascii() and line.isprintable() and line.strip() for line in lines):
                yield f"text of {name(item)} is not printable ASCII in lines that end with CR LF"


def references(report: Dataset) -> Iterator[str]:
    """Yield every image of the tree that is not among the evidence, or has not the frame that it needs."""
    evidence: dict[str, str] = {}
    for study in report.get("CurrentRequestedProcedureEvidenceSequence") or ():
        if study.StudyInstanceUID != report.StudyInstanceUID:
            yield "evidence of another study"
        for series in study.ReferencedSeriesSequence:
            for reference in series.ReferencedSOPSequence:
                if str(reference.ReferencedSOPInstanceUID) in evidence:
                    yield "evidence twice"
                evidence[str(reference.ReferencedSOPInstanceUID)] = str(reference.ReferencedSOPClassUID)
    for item in walk(report):
        if item.ValueType == "IMAGE":
            reference = item.ReferencedSOPSequence[0]
            sop_class = evidence.get(str(reference.ReferencedSOPInstanceUID))
            if sop_class != reference.ReferencedSOPClassUID:
                yield "an image is not among the evidence"
            if ("ReferencedFrameNumber" in reference) != (sop_class in MULTI_FRAME):
                yield "frame numbers are for multi-frame images, and for all of them"
