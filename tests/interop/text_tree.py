"""What the validators do not see in ichnode's readable reports, which claim no template.

`complaints(report)` returns a list; empty means that the tree is the one that is promised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

from tests.interop import document
from tests.interop.document import children, name, texts, walk

SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.11"
)  # fmt: skip
_ITEMS: dict[str, tuple[tuple[str, ...], str]] = {
    "121111": (("CONTAINER", "TEXT"), "CONTAINS"),
    **dict.fromkeys(("121070", "121180", "121064"), (("CONTAINER",), "CONTAINS")),
    **dict.fromkeys(("121106", "121071", "113012", "111001", "111002", "111003"), (("TEXT",), "CONTAINS")),
    "121080": (("IMAGE",), "CONTAINS"),
    "121049": (("CODE",), "HAS CONCEPT MOD"),
    "121005": (("CODE",), "HAS OBS CONTEXT"),
    "121012": (("UIDREF",), "HAS OBS CONTEXT"),
    **dict.fromkeys(("121013", "121014", "121015", "121016"), (("TEXT",), "HAS OBS CONTEXT")),
}
"""Value types and relationships, all of which Basic Text SR permits (PS3.3 A.35.1.3.1): no NUM, no by-reference."""
_CLASSES = {"any", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "epidural"}
_ROW = re.compile(
    r"(any|intraparenchymal|intraventricular|subarachnoid|subdural|epidural) +(present|absent ) "
    r" score [01]\.\d{3}  threshold [01]\.\d{3}(?:  images? +(\d+(?:, \d+)*) of \d+)?"
)
_POSITIVE, _NEGATIVE = "Intracranial hemorrhage suspected", "No intracranial hemorrhage detected"


def complaints(report: Dataset) -> list[str]:
    """Return what is wrong with the header and the tree of `report`."""
    return [
        *document.header(report, "ICH AI report, readable (investigational)", SOP_CLASSES),
        *document.context(report),
        *document.items(report, _ITEMS),
        *document.references(report),
        *_root(report),
        *_answer(report),
        *_images(report),
    ]


def _root(report: Dataset) -> Iterator[str]:
    if name(report) != "111017" or report.get("ContinuityOfContent") != "SEPARATE":
        yield "the root is not a SEPARATE CAD Processing and Findings Summary"
    if "ContentTemplateSequence" in report:
        yield "the tree claims a template"
    if any("normal" in str(item.TextValue).lower() for item in walk(report) if item.ValueType == "TEXT"):
        yield "a network cannot say: normal"
    if name(report.ContentSequence[0]) != "121111":
        yield "the answer is not what comes first"
    if "Research use only" not in "".join(_comments(report)):
        yield "nothing says: research use only"


def _comments(report: Dataset) -> list[str]:
    return [text for summary in children(report, "121111") for text in texts(summary, "121106")]


def _rows(report: Dataset) -> list[str]:
    return [
        line for found in children(report, "121070") for text in texts(found, "121071") for line in text.split("\r\n")
    ]


def _answer(report: Dataset) -> Iterator[str]:
    first = [text for summary in children(report, "121111") for text in texts(summary, "121111")]
    if len(first) != 1:
        yield f"{len(first)} answers"
        return
    said = first[0].removeprefix("PRELIMINARY: ")
    if (report.PreliminaryFlag == "PRELIMINARY") != (said != first[0]):
        yield "PRELIMINARY is in the words or in the flag, not in both"
    rows = _rows(report)
    matches = [match for line in rows if (match := _ROW.fullmatch(line))]
    present = {match[1] for match in matches if match[2] == "present"}
    if said.startswith("Not analysed ("):
        if rows or children(report, "121064") or not any("nobody has looked" in text for text in _comments(report)):
            yield "not analysed, but with findings, with a model, or without a word that nobody has looked"
        return
    if {match[1] for match in matches} != _CLASSES or len(matches) != len(_CLASSES):
        yield f"{len(matches)} lines of classes"
    if len({line.index("  score ") for line in rows if "  score " in line}) != 1:
        yield "the columns are not aligned"
    if not said.startswith(_POSITIVE if present else _NEGATIVE):
        yield "the answer contradicts the lines"
    if any((match[2] == "present") != bool(match[3]) for match in matches):
        yield "images of what is absent, or none of what is present"
    for model in children(report, "121064"):
        if [name(item) for item in model.ContentSequence] != ["111001", "111003", "111002"]:
            yield "the model is not named with version and weights"
    if len(children(report, "121064")) != 1:
        yield "no model"


def _images(report: Dataset) -> Iterator[str]:
    matches = [match for line in _rows(report) if (match := _ROW.fullmatch(line)) and match[3]]
    listed = {number for match in matches for number in match[3].split(", ")}
    images = [item for shown in children(report, "121180") for item in children(shown, "121080")]
    references = [item.ReferencedSOPSequence[0] for item in images]
    places = [(r.ReferencedSOPInstanceUID, r.get("ReferencedFrameNumber")) for r in references]
    if len(set(places)) != len(places):
        yield "an image twice"
    captions = [
        line for shown in children(report, "121180") for text in texts(shown, "113012") for line in text.split("\r\n")
    ]
    numbers = [caption.split(" ")[1] for caption in captions]
    if len(numbers) != len(images) or len(set(numbers)) != len(numbers) or set(numbers) != listed:
        yield f"{len(images)} images, {len(numbers)} captions, {len(listed)} numbers in the lines"
    scores = [float(caption.split(",")[0].split(" ")[-1]) for caption in captions]
    if scores != sorted(scores, reverse=True):
        yield "the images are not in the order of their scores"
