"""The key images as a selection: which, in what order, with which words."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.interop import document
from tests.reporting import corpus


def read(series: corpus.Series, kind: str = "positive") -> Dataset:
    return pydicom.dcmread(BytesIO(corpus.report(series, kind, "kos")))


@pytest.mark.parametrize("header", ["ascii", "enhanced", "minimal"])
def test_the_key_slices_of_all_classes_stand_in_the_order_of_their_scores(header: str) -> None:
    series = corpus.SYNTHETIC[header]()
    made = read(series)
    assert document.name(made) == "113000" and made.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    images = [item for item in made.ContentSequence if item.ValueType == "IMAGE"]
    shown = [item.ReferencedSOPSequence[0] for item in images]
    assert [(r.ReferencedSOPInstanceUID, r.get("ReferencedFrameNumber", 1)) for r in shown] == [
        series.order[index] for index in (29, 12, 14, 10, 28)
    ]
    assert all(("ReferencedFrameNumber" in r) == (header == "enhanced") for r in shown)
    assert not any("ConceptNameCodeSequence" in item for item in images)
    assert list(document.context(made)) == []


def test_the_evidence_is_what_is_selected_and_no_more() -> None:
    series = corpus.named("ascii")
    (study,) = read(series).CurrentRequestedProcedureEvidenceSequence
    (of_series,) = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, of_series.SeriesInstanceUID) == (
        series.header.StudyInstanceUID,
        series.header.SeriesInstanceUID,
    )
    assert {r.ReferencedSOPInstanceUID for r in of_series.ReferencedSOPSequence} == {
        series.order[index][0] for index in (29, 12, 14, 10, 28)
    }


def test_the_text_is_the_answer_then_the_images_then_the_notice() -> None:
    (text,) = document.texts_of(read(corpus.named("ascii"), "partial_positive"))
    lines = text.split("\r\n")
    assert lines[0] == "PRELIMINARY: Intracranial hemorrhage suspected (subdural, epidural)."
    assert lines[2] == "image 13 of 30: any 0.988, subdural 0.812"
    assert lines[-1].startswith("Research use only.")
    assert text.isascii()


@pytest.mark.parametrize("kind", ["negative", "partial_negative", "localizer", "revision_not_analysed"])
def test_without_a_key_slice_there_is_nothing_to_select(kind: str) -> None:
    assert corpus.made(corpus.named("ascii"), kind, "kos") is None


@pytest.mark.parametrize("character_set", corpus.NAMES)
def test_names_survive_and_the_same_input_gives_the_same_bytes(character_set: str) -> None:
    made = read(corpus.named(character_set))
    assert str(made.PatientName) == corpus.NAMES[character_set][1]
    assert (made.Modality, made.SeriesNumber, made.SeriesDescription) == (
        "KO",
        9105,
        "ICH AI key images (investigational)",
    )
    assert corpus.report(corpus.named(character_set), "positive", "kos") == corpus.report(
        corpus.named(character_set), "positive", "kos"
    )


def test_requests_are_referenced() -> None:
    assert [r.RequestedProcedureID for r in read(corpus.ordered()).ReferencedRequestSequence] == ["RP1", "RP2"]
