"""A Structured Report as text for a terminal, from the object itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom.config
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from ichnode.errors import BadObject
from ichnode.reporting import codes

_PLAIN_VALUES = {
    "TEXT": "TextValue",
    "PNAME": "PersonName",
    "UIDREF": "UID",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
}
_UNREADABLE = (
    InvalidDicomError, BytesLengthException, EOFError, OSError, ValueError, NotImplementedError, struct.error,
)  # fmt: skip
_REFERENCES = ("IMAGE", "COMPOSITE", "WAVEFORM")


def render_text(data: bytes | Path) -> str:
    """Return a Structured Report as readable text: patient and document first, then the content tree.

    A measurement group takes one line and one for each image that it refers to. Works for any Structured Report.

    Parameters
    ----------
    data : bytes or Path
        A PS3.10 file, or its path.

    Raises
    ------
    BadObject
        It is not a DICOM file, is cut off, or is not a Structured Report.
    OSError
        The path cannot be read.
    """
    raw = data if isinstance(data, bytes) else data.read_bytes()
    try:
        with pydicom.config.disable_value_validation():
            report = dcmread(BytesIO(raw))
            if "ValueType" not in report or "ContentSequence" not in report:
                raise BadObject("This is not a Structured Report, or it is cut off: it has no content tree.")
            if _is_cut_off(report):
                raise BadObject("The Structured Report is cut off.")
            return "\n".join([*_document(report), "", *_lines(report, 0)]) + "\n"
    except _UNREADABLE as error:
        raise BadObject("This is not a readable DICOM file.") from error


def _is_cut_off(report: Dataset) -> bool:
    """Whether the last element is shorter than it says, which pydicom reads without a word."""
    last = report.get_item(max(report.keys()))
    if not isinstance(last, RawDataElement) or last.length == 0xFFFFFFFF:
        return False
    return len(last.value or b"") < last.length


def _document(report: Dataset) -> Iterator[str]:
    def value(keyword: str) -> str:
        return _printable(report.get(keyword) or "-")

    yield f"{value('SeriesDescription')} ({value('Manufacturer')} {value('SoftwareVersions')})"
    yield f"  patient   {value('PatientName')}, ID {value('PatientID')}, born {value('PatientBirthDate')}"
    yield f"  study     {value('StudyDate')} {value('StudyTime')}, accession {value('AccessionNumber')}"
    yield f"  document  {value('CompletionFlag')}, {value('PreliminaryFlag')}, {value('VerificationFlag')}"
    yield f"  content   {value('ContentDate')} {value('ContentTime')} {value('TimezoneOffsetFromUTC')}"
    yield f"  object    {value('SOPInstanceUID')}"
    for series, instances in _references(report, "PredecessorDocumentsSequence"):
        yield f"  replaces  {', '.join(instances)} of series {series}"
    for series, instances in _references(report, "CurrentRequestedProcedureEvidenceSequence"):
        yield f"  evidence  {len(instances)} instances of series {series}"


def _references(report: Dataset, keyword: str) -> Iterator[tuple[str, list[str]]]:
    for study in report.get(keyword) or ():
        for series in study.get("ReferencedSeriesSequence") or ():
            instances = series.get("ReferencedSOPSequence") or ()
            uids = [_printable(i.get("ReferencedSOPInstanceUID", "-")) for i in instances]
            yield _printable(series.get("SeriesInstanceUID", "-")), uids


def _lines(item: Dataset, depth: int) -> Iterator[str]:
    indent = "  " * depth
    children = item.get("ContentSequence") or ()
    if _code_of(item) == codes.MEASUREMENT_GROUP.value:
        yield from _group_lines(item, indent)
        return
    name, value, lines = _name(item), _value(item), str(item.get("TextValue") or "").splitlines()
    if len(lines) > 1:  # a table: its columns are kept
        yield f"{indent}{name}:"
        yield from (f"{indent}  {_visible(line).rstrip()}" for line in lines)
    else:
        yield f"{indent}{name}: {value}" if value else f"{indent}{name}"
    for child in children:
        yield from _lines(child, depth + 1)


def _group_lines(group: Dataset, indent: str) -> Iterator[str]:
    children = list(group.get("ContentSequence") or ())
    named = {_code_of(child): _value(child) for child in children}
    shown = [named.get(code.value, "") for code in (codes.FINDING, codes.PRESENCE)]
    shown += [f"{_name(child)} {_value(child)}" for child in children if child.get("ValueType") == "NUM"]
    title = named.get(codes.TRACKING_IDENTIFIER.value) or _name(group)
    yield f"{indent}{title}: {', '.join(part for part in shown if part)}"
    yield from (f"{indent}  image {_value(child)}" for child in children if child.get("ValueType") in _REFERENCES)


def _code_of(item: Dataset) -> str:
    concept = item.get("ConceptNameCodeSequence")
    return str(concept[0].get("CodeValue", "")) if concept else ""


def _name(item: Dataset) -> str:
    return _meaning(item.get("ConceptNameCodeSequence")) or _printable(item.get("ValueType", "?"))


def _value(item: Dataset) -> str:
    kind = item.get("ValueType")
    if kind == "CODE":
        return _meaning(item.get("ConceptCodeSequence"))
    if kind == "NUM":
        measured = item.get("MeasuredValueSequence")
        if not measured:
            return "no value"
        unit = measured[0].get("MeasurementUnitsCodeSequence")
        symbol = _printable(unit[0].get("CodeValue", "")) if unit else ""
        return f"{_printable(measured[0].get('NumericValue', ''))} {symbol}".strip()
    if kind in _REFERENCES:
        referenced = item.get("ReferencedSOPSequence")
        if not referenced:
            return "no reference"
        frame = referenced[0].get("ReferencedFrameNumber")
        uid = _printable(referenced[0].get("ReferencedSOPInstanceUID", "-"))
        return f"{uid} frame {_printable(frame)}" if frame else uid
    return _printable(item.get(_PLAIN_VALUES.get(str(kind), ""), ""))


def _meaning(sequence: object) -> str:
    return _printable(sequence[0].get("CodeMeaning", "")) if sequence else ""  # type: ignore[index]


def _printable(value: object) -> str:
    """Text of any object, on one line and without control characters: it goes to a terminal."""
    return " ".join(_visible(str(value)).split())


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
