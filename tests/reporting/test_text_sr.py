"""The readable report: the answer first, one line a class, and nothing that Basic Text SR would not permit."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from ichnode.core.findings import Verdict
from ichnode.reporting.formats import FORMATS
from ichnode.reporting.recast import recast
from ichnode.reporting.text import render_text
from tests.interop import document, text_tree
from tests.reporting import corpus


def read(raw: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(raw))


def comments(report: Dataset) -> list[str]:
    return document.texts(report.ContentSequence[0], "121106")


@pytest.mark.parametrize("kind", corpus.KINDS)
@pytest.mark.parametrize("header", corpus.SYNTHETIC)
def test_every_outcome_has_the_promised_tree_and_the_same_bytes_again(kind: str, header: str) -> None:
    make = corpus.SYNTHETIC[header]
    raw = corpus.report(make(), kind, "text-sr")
    assert text_tree.complaints(read(raw)) == []
    assert raw == corpus.report(make(), kind, "text-sr")


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_the_answer_is_the_first_thing_said(kind: str) -> None:
    outcome, _ = corpus.outcome_of(kind, corpus.named("ascii"))
    report = read(corpus.report(corpus.named("ascii"), kind, "text-sr"))
    answer = str(report.ContentSequence[0].ContentSequence[0].TextValue)
    assert answer.startswith("PRELIMINARY: ") == kind.startswith("partial")
    assert answer.removeprefix("PRELIMINARY: ").startswith(
        {
            Verdict.POSITIVE: "Intracranial hemorrhage suspected",
            Verdict.NEGATIVE: "No intracranial hemorrhage detected.",
            Verdict.NOT_ANALYSED: "Not analysed (",
        }[outcome.verdict]
    )


def test_one_line_a_class_in_columns() -> None:
    text = render_text(corpus.report(corpus.named("ascii"), "positive", "text-sr"))
    assert (
        "    Finding:\n"
        "      any               present  score 0.988  threshold 0.420  images 13, 15, 11 of 30\n"
        "      intraparenchymal  absent   score 0.020  threshold 0.500\n"
        "      intraventricular  absent   score 0.020  threshold 0.550\n"
        "      subarachnoid      absent   score 0.020  threshold 0.500\n"
        "      subdural          present  score 0.812  threshold 0.600  image  13 of 30\n"
        "      epidural          present  score 1.000  threshold 0.350  images 30, 29 of 30\n"
        "      Images are counted from the lowest slice upwards.\n"
    ) in text


@pytest.mark.parametrize("header", ["ascii", "enhanced"])
def test_key_images_are_in_the_order_of_their_scores_with_a_line_for_each(header: str) -> None:
    series = corpus.SYNTHETIC[header]()
    (shown,) = document.children(read(corpus.report(series, "positive", "text-sr")), "121180")
    caption, *images = shown.ContentSequence
    lines = str(caption.TextValue).split("\r\n")
    assert lines == [
        "image 30 of 30: epidural 1.000",
        "image 13 of 30: any 0.988, subdural 0.812",
        "image 15 of 30: any 0.800",
        "image 11 of 30: any 0.500",
        "image 29 of 30: epidural 0.360",
    ]
    references = [item.ReferencedSOPSequence[0] for item in images]
    assert [(r.ReferencedSOPInstanceUID, r.get("ReferencedFrameNumber", 1)) for r in references] == [
        series.order[int(line.split()[1]) - 1] for line in lines
    ]


def test_a_negative_series_has_no_key_images_and_is_never_called_normal() -> None:
    report = read(corpus.report(corpus.named("ascii"), "negative", "text-sr"))
    assert document.children(report, "121180") == []
    assert not any(item.ValueType == "IMAGE" for item in document.walk(report))


@pytest.mark.parametrize("kind", ["localizer", "failed", "partial_not_analysed", "revision_not_analysed"])
def test_what_was_not_analysed_is_said_to_be_seen_by_nobody(kind: str) -> None:
    report = read(corpus.report(corpus.named("ascii"), kind, "text-sr"))
    assert comments(report)[0] == (
        "No network has read these images and nobody has looked at them for this report: hemorrhage is neither found "
        "nor excluded."
    )
    assert document.children(report, "121070") == document.children(report, "121064") == []


def test_warnings_and_what_is_missing_are_said_in_words() -> None:
    said = comments(read(corpus.report(corpus.named("ascii"), "partial_positive", "text-sr")))
    assert said[0].startswith("Preliminary: the series was incomplete. Missing: 6 of 30 slices, between 42.5")
    assert "Warning (GANTRY_TILT): The gantry was tilted by 18.5 deg." in said
    assert "Warning (GAPS): Slices are missing inside the scan." in said


@pytest.mark.parametrize("sop_class_uid", FORMATS["text-sr"].sop_classes[1:])
@pytest.mark.parametrize("kind", ["partial_positive", "contrast"])
def test_it_is_the_same_report_under_the_other_classes(kind: str, sop_class_uid: str) -> None:
    raw = corpus.report(corpus.named("utf8"), kind, "text-sr")
    other = read(recast(raw, sop_class_uid))
    assert text_tree.complaints(other) == []
    assert other.SOPClassUID == sop_class_uid
    assert other.SOPInstanceUID != read(raw).SOPInstanceUID
    assert other.ContentSequence == read(raw).ContentSequence
