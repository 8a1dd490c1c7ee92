"""Work items in DICOM JSON (PS3.18 F.2): read as a performer needs them, and what a performer says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.core.findings import Warned
from ichnode.core.identity import is_uid
from ichnode.core.workitem import CodedEntry, Input, Output, Progress, Workitem
from ichnode.dicom.qido import text_of

_MOST_PLACES = 4
_INCOMPLETE = Code("110523", "DCM", "Object Set incomplete")
_BADLY_FORMATTED = Code("110521", "DCM", "Objects incorrectly formatted")
_NOT_SUPPORTED = Code("110522", "DCM", "Object Types not supported")
_UNSPECIFIED = Code("110513", "DCM", "Discontinued for unspecified reason")
_DISCONTINUATION = {
    **dict.fromkeys(
        ("ARCHIVE_GAVE_LESS", "ARCHIVE_GAVE_NONE", "NO_INPUT", "TOO_FEW_SLICES", "COVERAGE_TOO_SHORT", "REMNANT",
         "SPACING_TOO_WIDE"), _INCOMPLETE
    ),
    **dict.fromkeys(("NO_PIXELS", "NO_POSITIONS", "PIXELS_UNREADABLE", "MIXED_GEOMETRY"), _BADLY_FORMATTED),
    **dict.fromkeys(
        ("NOT_CT", "SCREEN_SAVE", "LOCALIZER", "DERIVED", "NOT_HOUNSFIELD", "NOT_AXIAL", "CONTRAST", "NOT_HEAD",
         "UNKNOWN_BODY_PART", "BONE_KERNEL", "SLICES_TOO_THICK", "OVERLAPPING_VOLUMES"), _NOT_SUPPORTED
    ),
}  # fmt: skip
"""CID 9300 for reason codes of the node; all others are of no specified reason."""


def read_workitem(said: Mapping[str, Any]) -> Workitem:
    """Return what an answer says; an element that is missing or malformed is as if it were empty."""
    return Workitem(
        text_of(said, "00080018"), text_of(said, "00741000"), text_of(said, "00404041"),
        text_of(said, "00741200") or "MEDIUM", tuple(_codes(said, "00404018")), tuple(_codes(said, "00404025")),
        tuple(_inputs(said)),
    )  # fmt: skip


def progress(how_far: Progress) -> Dataset:
    """Return what an update says of the progress."""
    item = Dataset()
    item.ProcedureStepProgress = how_far.percent
    item.ProcedureStepProgressDescription = how_far.words
    update = Dataset()
    update.ProcedureStepProgressInformationSequence = [item]
    return update


def performed(
    outputs: Sequence[Output], places: Mapping[str, tuple[str, str]], station: CodedEntry, codes: Sequence[CodedEntry],
    began: datetime, ended: datetime,
) -> Dataset:  # fmt: skip
    """Return what an update says of work that is done, as far as COMPLETED asks for it (PS3.4 CC.2.5.1.3).

    Parameters
    ----------
    places : mapping
        Destination → (AE title, root of its DICOMweb service), one of them empty.
    """
    item = Dataset()
    item.PerformedStationNameCodeSequence = [_code_item(station)]
    item.PerformedWorkitemCodeSequence = [_code_item(code) for code in codes]
    item.PerformedProcedureStepStartDateTime = _time(began)
    item.PerformedProcedureStepEndDateTime = _time(ended)
    item.OutputInformationSequence = _output_items(outputs, places)
    update = progress(Progress(100, "The results are delivered"))
    update.UnifiedProcedureStepPerformedProcedureSequence = [item]
    return update


def discontinued(reason: Warned, at: datetime) -> Dataset:
    """Return what an update says before CANCELED: the reason as a code of CID 9300, and in words."""
    update = progress(Progress(100, "Not analysed"))
    item = update.ProcedureStepProgressInformationSequence[0]
    item.ProcedureStepCancellationDateTime = _time(at)
    item.ReasonForCancellation = f"{reason.code}: {reason.sentence}"
    code = _DISCONTINUATION.get(reason.code, _UNSPECIFIED)
    entry = CodedEntry(code.value, code.scheme_designator, code.meaning)
    item.ProcedureStepDiscontinuationReasonCodeSequence = [_code_item(entry)]
    return update


def _output_items(outputs: Sequence[Output], places: Mapping[str, tuple[str, str]]) -> list[Dataset]:
    items: dict[tuple[str, str, str], Dataset] = {}
    for one in outputs:
        key = (one.study_instance_uid, one.series_instance_uid, one.destination)
        if key not in items:
            items[key] = item = Dataset()
            item.TypeOfInstances = "DICOM"
            item.StudyInstanceUID, item.SeriesInstanceUID = one.study_instance_uid, one.series_instance_uid
            item.ReferencedSOPSequence = []
            aet, url = places.get(one.destination, ("", ""))
            place = Dataset()
            if aet:
                place.RetrieveAETitle = aet
                item.DICOMRetrievalSequence = [place]
            elif url:
                place.RetrieveURL = f"{url.rstrip('/')}/studies/{key[0]}/series/{key[1]}"
                item.WADORSRetrievalSequence = [place]
        reference = Dataset()
        reference.ReferencedSOPClassUID = one.sop_class_uid
        reference.ReferencedSOPInstanceUID = one.sop_instance_uid
        items[key].ReferencedSOPSequence.append(reference)
    return list(items.values())


def _inputs(said: Mapping[str, Any]) -> Iterator[Input]:
    for item in _items(said, "00404021"):
        study, series = text_of(item, "0020000D"), text_of(item, "0020000E")
        if not (is_uid(study) and is_uid(series)) or text_of(item, "0040E020") not in ("DICOM", ""):
            continue
        places = [_aet(text_of(place, "00080054")) for place in _items(item, "0040E021")]
        places += [_host(text_of(place, "00081190")) for place in _items(item, "0040E025")]
        instances = {text_of(one, "00081155") for one in _items(item, "00081199")} - {""}
        yield Input(study, series, len(instances) or None, tuple(dict.fromkeys(filter(None, places)))[:_MOST_PLACES])


def _aet(said: str) -> str:
    """Return an AE title as sentences may show it; empty where it is none: a value from outside may be a name."""
    return said if re.fullmatch(r"[A-Za-z0-9_.-]{1,16}", said) else ""


def _host(said: str) -> str:
    """Return scheme and host of an address; what is behind them may be about a patient."""
    found = re.match(r"(https?)://(?:[^/?#@]*@)?([A-Za-z0-9.-]{1,100})(?:[:/?#]|$)", said)
    return f"{found[1]}://{found[2]}" if found else ""


def _codes(said: Mapping[str, Any], tag: str) -> Iterator[CodedEntry]:
    for item in _items(said, tag):
        code = CodedEntry(text_of(item, "00080100"), text_of(item, "00080102"), text_of(item, "00080104"))
        if code.value and code.scheme:
            yield code


def _items(said: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = said.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _code_item(code: CodedEntry) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme
    item.CodeMeaning = code.meaning or code.value
    return item


def _time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S.%f%z")
