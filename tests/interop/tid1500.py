"""What the validators do not see in ichnode's reports: a checker for any of its Structured Reports.

`complaints(report)` returns a list; empty means that the tree is the one that is promised.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from tests.interop import document
from tests.interop.document import children, name, texts, value, walk

SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.22"
)  # fmt: skip
CLASSES = {"1386000", "274100004", "23276006", "21454007", "35486000", "82999001"}
PRESENT, ABSENT, UNDETERMINED = "52101004", "272519000", "373068000"

# Concept name: value types and relationship of every item that may stand in the tree.
_ITEMS: dict[str, tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(("126010", "125007", "C0034375"), (("CONTAINER",), "CONTAINS")),
    **dict.fromkeys(("121049", "121058", "111000", "363698007"), (("CODE",), "HAS CONCEPT MOD")),
    **dict.fromkeys(("111001", "111002", "111003"), (("TEXT",), "HAS CONCEPT MOD")),
    **dict.fromkeys(("121013", "121014", "121015", "121016", "112039"), (("TEXT",), "HAS OBS CONTEXT")),
    **dict.fromkeys(("121012", "112040"), (("UIDREF",), "HAS OBS CONTEXT")),
    "121005": (("CODE",), "HAS OBS CONTEXT"),
    **dict.fromkeys(("121071", "705057003", *CLASSES), (("CODE",), "CONTAINS")),
    "111012": (("NUM",), "CONTAINS"),
    "121112": (("IMAGE",), "CONTAINS"),
    "121106": (("TEXT",), "CONTAINS"),
}
# What a coded item must say wherever it stands: validators take any code that has the right form.
_SAYS = {"121058": "25045-6", "363698007": "12738006", "111000": "123110"}
_ROOT_ONCE = ("121058", "C0034375")
_GROUP_ONCE = ("112039", "112040", "121071", "363698007", "111012", "705057003")


def complaints(report: Dataset) -> list[str]:
    """Return what is wrong with the header and the tree of `report`."""
    found = [
        *document.header(report, "ICH AI result (investigational)", SOP_CLASSES),
        *document.context(report),
        *document.items(report, _ITEMS),
        *document.references(report),
        *_root(report),
    ]
    answers = {}
    for container in children(report, "C0034375"):
        found += _evaluations(container)
        answers = {name(i): value(i) for i in container.ContentSequence if i.ValueType == "CODE"}
    measured = children(report, "126010")
    if set(answers.values()) == {UNDETERMINED}:
        if measured:
            found.append("measurements beside undetermined evaluations")
        return found
    if len(measured) != 1:
        return [*found, f"{len(measured)} Imaging Measurements"]
    return [*found, *_algorithm(measured[0]), *_groups(measured[0], answers)]


def _root(report: Dataset) -> Iterator[str]:
    if name(report) != "126000" or report.get("ContinuityOfContent") != "SEPARATE":
        yield "the root is not a SEPARATE Imaging Measurement Report"
    if [item.TemplateIdentifier for item in report.get("ContentTemplateSequence") or ()] != ["1500"]:
        yield "the root does not name TID 1500"
    for code in _ROOT_ONCE:
        if len(children(report, code)) != 1:
            yield f"{len(children(report, code))} items {code} at the root"
    for item in walk(report):
        if name(item) in _SAYS and value(item) != _SAYS[name(item)]:
            yield f"item {name(item)} says {value(item)}"
    comments = "".join(text for container in children(report, "C0034375") for text in texts(container, "121106"))
    if "Research use only" not in comments:
        yield "nothing says: research use only"
    if report.get("PreliminaryFlag") == "PRELIMINARY" and "Preliminary: " not in comments:
        yield "preliminary without a word of what is missing"


def _evaluations(container: Dataset) -> Iterator[str]:
    coded = [name(i) for i in container.ContentSequence if i.ValueType == "CODE"]
    if len(coded) != 6 or set(coded) != CLASSES:
        yield f"evaluations of {coded}"
    if {i.ValueType for i in container.ContentSequence} != {"CODE", "TEXT"}:
        yield "evaluations hold other things than CODE and TEXT"
    answers = {value(i) for i in container.ContentSequence if i.ValueType == "CODE"}
    comments = texts(container, "121106")
    if answers == {UNDETERMINED}:
        if not any(text.startswith("Not analysed (") for text in comments):
            yield "undetermined without a reason"
    elif not answers <= {PRESENT, ABSENT}:
        yield f"evaluations answer {answers}"


def _algorithm(measured: Dataset) -> Iterator[str]:
    for code, times in (("111001", 1), ("111003", 1), ("111000", 1), ("111002", 3)):
        if len(children(measured, code)) != times:
            yield f"{len(children(measured, code))} items {code} of the algorithm"
    if any(name(i).startswith("11100") for group in children(measured, "125007") for i in walk(group)):
        yield "the algorithm is said again in a group"
    parameters = texts(measured, "111002")
    for start in ("weights sha256:", "preprocessing ", "thresholds any "):
        if not any(p.startswith(start) for p in parameters):
            yield f"no algorithm parameter {start}"


def _groups(measured: Dataset, answers: dict[str, str]) -> Iterator[str]:
    groups = children(measured, "125007")
    trackers = [str(i.UID) for g in groups for i in children(g, "112040")]
    if len(set(trackers)) != len(groups):
        yield "tracking UIDs are not one for each group"
    for group in groups:
        counts = {code: len(children(group, code)) for code in _GROUP_ONCE}
        if set(counts.values()) != {1}:
            yield f"a group has items {counts}"
            return
        number = group_number(group)
        if not 0 <= number <= 100:
            yield f"a certainty of {number} %"
        if [i.TemplateIdentifier for i in group.get("ContentTemplateSequence") or ()] != ["1501"]:
            yield "a group does not name TID 1501"
    of_series, of_slices = groups[:6], groups[6:]
    if {value(children(g, "121071")[0]) for g in of_series} != CLASSES:
        yield "the first six groups are not the six classes"
    shown = 0
    for group in of_series:
        presence, images = value(children(group, "705057003")[0]), children(group, "121112")
        shown += len(images)
        if presence != answers.get(value(children(group, "121071")[0])):
            yield "a group contradicts the evaluation of its class"
        if (presence == PRESENT) != bool(images) or len(images) > 3:
            yield f"{len(images)} key images of a finding that is {presence}"
    if len(of_slices) != shown:
        yield f"{len(of_slices)} groups for {shown} key images"
    for group in of_slices:
        if len(children(group, "121112")) != 1 or value(children(group, "705057003")[0]) != PRESENT:
            yield "a key image's group has not one image and a present finding"
    for group in of_series:
        finding = value(children(group, "121071")[0])
        scores = [group_number(g) for g in of_slices if value(children(g, "121071")[0]) == finding]
        if scores and group_number(group) != max(scores):
            yield "the score of the series is not the maximum of its key images"


def group_number(group: Dataset) -> float:
    """Return the certainty of a measurement group in percent."""
    measured = children(group, "111012")[0].MeasuredValueSequence[0]
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
    return float(measured.NumericValue)
