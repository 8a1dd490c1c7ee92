"""What the validators do not see in ichnode's reports: a checker for any of its Structured Reports.

`complaints(report)` returns a list; empty means that the tree is the one that is promised.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
CLASSES = {"1386000", "274100004", "23276006", "21454007", "35486000", "82999001"}
PRESENT, ABSENT, UNDETERMINED = "52101004", "272519000", "373068000"

# Concept name: value type and relationship of every item that may stand in the tree.
_ITEMS = {
    "126010": ("CONTAINER", "CONTAINS"),
    "125007": ("CONTAINER", "CONTAINS"),
    "C0034375": ("CONTAINER", "CONTAINS"),
    "121049": ("CODE", "HAS CONCEPT MOD"),
    "121005": ("CODE", "HAS OBS CONTEXT"),
    "121012": ("UIDREF", "HAS OBS CONTEXT"),
    "121013": ("TEXT", "HAS OBS CONTEXT"),
    "121014": ("TEXT", "HAS OBS CONTEXT"),
    "121015": ("TEXT", "HAS OBS CONTEXT"),
    "121016": ("TEXT", "HAS OBS CONTEXT"),
    "121058": ("CODE", "HAS CONCEPT MOD"),
    "111001": ("TEXT", "HAS CONCEPT MOD"),
    "111002": ("TEXT", "HAS CONCEPT MOD"),
    "111003": ("TEXT", "HAS CONCEPT MOD"),
    "111000": ("CODE", "HAS CONCEPT MOD"),
    "112039": ("TEXT", "HAS OBS CONTEXT"),
    "112040": ("UIDREF", "HAS OBS CONTEXT"),
    "121071": ("CODE", "CONTAINS"),
    "363698007": ("CODE", "HAS CONCEPT MOD"),
    "111012": ("NUM", "CONTAINS"),
    "705057003": ("CODE", "CONTAINS"),
    "121112": ("IMAGE", "CONTAINS"),
    "121106": ("TEXT", "CONTAINS"),
    **dict.fromkeys(CLASSES, ("CODE", "CONTAINS")),
}
_ROOT_ONCE = ("121049", "121005", "121012", "121013", "121014", "121015", "121016", "121058", "C0034375")
_GROUP_ONCE = ("112039", "112040", "121071", "363698007", "111012", "705057003")


def complaints(report: Dataset) -> list[str]:
    """Return what is wrong with the header and the tree of `report`."""
    found = [*_header(report), *_every_item(report), *_root(report)]
    answers = {}
    for container in _children(report, "C0034375"):
        found += _evaluations(container)
        answers = {name(i): value(i) for i in container.ContentSequence if i.ValueType == "CODE"}
    measured = _children(report, "126010")
    if set(answers.values()) == {UNDETERMINED}:
        if measured:
            found.append("measurements beside undetermined evaluations")
        return found
    if len(measured) != 1:
        return [*found, f"{len(measured)} Imaging Measurements"]
    return [*found, *_algorithm(measured[0]), *_groups(measured[0], answers), *_references(report, measured[0])]


def name(item: Dataset) -> str:
    """Return the code value of the item's concept name."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def value(item: Dataset) -> str:
    """Return the code value of a CODE item."""
    return str(item.ConceptCodeSequence[0].CodeValue)


def walk(item: Dataset) -> Iterator[Dataset]:
    """Yield every content item below `item`."""
    for child in item.get("ContentSequence") or ():
        yield child
        yield from walk(child)


def _children(item: Dataset, code: str) -> list[Dataset]:
    return [child for child in item.get("ContentSequence") or () if name(child) == code]


def _header(report: Dataset) -> Iterator[str]:
    expected = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33",
        "Modality": "SR",
        "VerificationFlag": "UNVERIFIED",
        "ContentQualification": "RESEARCH",
        "SeriesDescription": "ICH AI result (investigational)",
    }
    yield from (
        f"{keyword} is {report.get(keyword)}" for keyword, text in expected.items() if report.get(keyword) != text
    )
    if (report.get("CompletionFlag"), report.get("PreliminaryFlag")) not in (
        ("COMPLETE", "FINAL"),
        ("PARTIAL", "PRELIMINARY"),
    ):
        yield f"flags {report.get('CompletionFlag')}, {report.get('PreliminaryFlag')} contradict each other"
    for keyword in (
        "TimezoneOffsetFromUTC", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime", "Manufacturer",
        "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName", "InstanceNumber",
        "ContributingEquipmentSequence", "CurrentRequestedProcedureEvidenceSequence",
    ):  # fmt: skip
        if not report.get(keyword):
            yield f"{keyword} is missing"
    if report.get("PreliminaryFlag") == "PRELIMINARY" and "Preliminary: " not in "".join(_comments(report)):
        yield "preliminary without a word of what is missing"


def _every_item(report: Dataset) -> Iterator[str]:
    for item in walk(report):
        if _ITEMS.get(name(item)) != (item.ValueType, item.get("RelationshipType")):
            yield f"{name(item)} is {item.ValueType} with {item.get('RelationshipType')}"
        if item.ValueType == "CONTAINER" and item.get("ContinuityOfContent") != "SEPARATE":
            yield f"container {name(item)} is {item.get('ContinuityOfContent')}"
        if item.ValueType != "CONTAINER" and item.get("ContentSequence"):
            yield f"{item.ValueType} {name(item)} has children"
        if item.ValueType == "TEXT" and not str(item.TextValue).isascii():
            yield f"text of {name(item)} is not ASCII"


def _root(report: Dataset) -> Iterator[str]:
    if name(report) != "126000" or report.get("ContinuityOfContent") != "SEPARATE":
        yield "the root is not a SEPARATE Imaging Measurement Report"
    if [item.TemplateIdentifier for item in report.get("ContentTemplateSequence") or ()] != ["1500"]:
        yield "the root does not name TID 1500"
    for code in _ROOT_ONCE:
        if len(_children(report, code)) != 1:
            yield f"{len(_children(report, code))} items {code} at the root"
    if "Research use only" not in "".join(_comments(report)):
        yield "nothing says: research use only"


def _comments(report: Dataset) -> list[str]:
    return [str(i.TextValue) for c in _children(report, "C0034375") for i in _children(c, "121106")]


def _evaluations(container: Dataset) -> Iterator[str]:
    coded = [name(i) for i in container.ContentSequence if i.ValueType == "CODE"]
    if len(coded) != 6 or set(coded) != CLASSES:
        yield f"evaluations of {coded}"
    if {i.ValueType for i in container.ContentSequence} != {"CODE", "TEXT"}:
        yield "evaluations hold other things than CODE and TEXT"
    answers = {value(i) for i in container.ContentSequence if i.ValueType == "CODE"}
    texts = [str(i.TextValue) for i in _children(container, "121106")]
    if answers == {UNDETERMINED}:
        if not any(text.startswith("Not analysed (") for text in texts):
            yield "undetermined without a reason"
    elif not answers <= {PRESENT, ABSENT}:
        yield f"evaluations answer {answers}"


def _algorithm(measured: Dataset) -> Iterator[str]:
    for code, times in (("111001", 1), ("111003", 1), ("111000", 1), ("111002", 3)):
        if len(_children(measured, code)) != times:
            yield f"{len(_children(measured, code))} items {code} of the algorithm"
    if any(name(i).startswith("11100") for group in _children(measured, "125007") for i in walk(group)):
        yield "the algorithm is said again in a group"
    parameters = [str(i.TextValue) for i in _children(measured, "111002")]
    for start in ("weights sha256:", "preprocessing ", "thresholds any "):
        if not any(p.startswith(start) for p in parameters):
            yield f"no algorithm parameter {start}"


def _groups(measured: Dataset, answers: dict[str, str]) -> Iterator[str]:
    groups = _children(measured, "125007")
    trackers = [str(i.UID) for g in groups for i in _children(g, "112040")]
    if len(set(trackers)) != len(groups):
        yield "tracking UIDs are not one for each group"
    for group in groups:
        counts = {code: len(_children(group, code)) for code in _GROUP_ONCE}
        if set(counts.values()) != {1}:
            yield f"a group has items {counts}"
            return
        number = group_number(group)
        if not 0 <= number <= 100:
            yield f"a certainty of {number} %"
        if [i.TemplateIdentifier for i in group.get("ContentTemplateSequence") or ()] != ["1501"]:
            yield "a group does not name TID 1501"
    of_series, of_slices = groups[:6], groups[6:]
    if {value(_children(g, "121071")[0]) for g in of_series} != CLASSES:
        yield "the first six groups are not the six classes"
    shown = 0
    for group in of_series:
        presence, images = value(_children(group, "705057003")[0]), _children(group, "121112")
        shown += len(images)
        if presence != answers.get(value(_children(group, "121071")[0])):
            yield "a group contradicts the evaluation of its class"
        if (presence == PRESENT) != bool(images) or len(images) > 3:
            yield f"{len(images)} key images of a finding that is {presence}"
    if len(of_slices) != shown:
        yield f"{len(of_slices)} groups for {shown} key images"
    for group in of_slices:
        if len(_children(group, "121112")) != 1 or value(_children(group, "705057003")[0]) != PRESENT:
            yield "a key image's group has not one image and a present finding"
    for group in of_series:
        finding = value(_children(group, "121071")[0])
        scores = [group_number(g) for g in of_slices if value(_children(g, "121071")[0]) == finding]
        if scores and group_number(group) != max(scores):
            yield "the score of the series is not the maximum of its key images"


def group_number(group: Dataset) -> float:
    """Return the certainty of a measurement group in percent."""
    measured = _children(group, "111012")[0].MeasuredValueSequence[0]
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
    return float(measured.NumericValue)


def _references(report: Dataset, measured: Dataset) -> Iterator[str]:
    evidence = {
        str(reference.ReferencedSOPInstanceUID): str(reference.ReferencedSOPClassUID)
        for study in report.get("CurrentRequestedProcedureEvidenceSequence") or ()
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    for item in walk(measured):
        if item.ValueType == "IMAGE":
            reference = item.ReferencedSOPSequence[0]
            sop_class = evidence.get(str(reference.ReferencedSOPInstanceUID))
            if sop_class != reference.ReferencedSOPClassUID:
                yield "an image is not among the evidence"
            if ("ReferencedFrameNumber" in reference) != (sop_class in MULTI_FRAME):
                yield "frame numbers are for multi-frame images, and for all of them"
