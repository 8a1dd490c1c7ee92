"""The page as a DICOM object: which, of whom, from what, and the same every time."""

from __future__ import annotations

import dataclasses
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from ichnode.core.findings import Outcome, Verdict, Warned
from ichnode.core.reasons import NO_ANSWER_EXPECTED, REJECTIONS, because
from ichnode.reporting import capture, capture_frames, parametric_map
from ichnode.reporting.formats import FORMATS
from ichnode.reporting.picture.words import HEAT_LEGEND
from tests.reporting import corpus
from tests.reporting.picture.test_page import drawn

READ = ("positive", "positive_any_only", "negative", "partial_positive", "partial_negative", "revision")
UNREAD = ("contrast", "failed", "partial_not_analysed")


def read(series: corpus.Series, kind: str = "positive", **changes: object) -> Dataset:
    return pydicom.dcmread(BytesIO(corpus.pictured(series, kind, "sc", **changes)))


@pytest.mark.parametrize("kind", [*READ, *UNREAD])
def test_it_is_one_uncompressed_page_in_colour(kind: str) -> None:
    made = read(corpus.named("ascii"), kind)
    assert (made.SOPClassUID, made.file_meta.TransferSyntaxUID) == (
        SecondaryCaptureImageStorage,
        ExplicitVRLittleEndian,
    )
    assert (made.Modality, made.SeriesNumber, made.SeriesDescription) == (
        "OT",
        9103,
        "ICH AI picture (investigational)",
    )
    assert (made.ConversionType, made.ImageType, made.BurnedInAnnotation) == ("WSD", ["DERIVED", "SECONDARY"], "YES")
    assert (made.BodyPartExamined, made.LossyImageCompression) == ("HEAD", "00")
    assert "Research use only" in made.DerivationDescription
    assert "FrameOfReferenceUID" not in made and "PixelSpacing" not in made
    assert made.pixel_array.shape == (1024, 1024, 3)


def test_the_pixels_are_the_page() -> None:
    assert (read(corpus.named("ascii")).pixel_array == drawn("positive")[0].pixels).all()


@pytest.mark.parametrize("header", ["ascii", "enhanced"])
def test_the_slices_that_are_shown_are_its_sources(header: str) -> None:
    series = corpus.SYNTHETIC[header]()
    sources = read(series).SourceImageSequence
    places = [(item.ReferencedSOPInstanceUID, item.get("ReferencedFrameNumber", 1)) for item in sources]
    assert places == [series.order[index] for index in (12, 14, 29)]
    assert all(("ReferencedFrameNumber" in item) == (header == "enhanced") for item in sources)
    assert {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in sources} == {"121322"}


def test_without_slices_there_are_no_sources() -> None:
    assert "SourceImageSequence" not in read(corpus.named("ascii"), images=None)
    assert "SourceImageSequence" not in read(corpus.named("ascii"), "failed")  # a middle slice that has no UID


def test_what_was_lost_in_the_ct_stays_lost() -> None:
    series = corpus.named("ascii")
    series.header.LossyImageCompression, series.header.LossyImageCompressionRatio = "01", 8
    series.header.LossyImageCompressionMethod = "ISO_10918_1"
    made = read(series)
    assert made.LossyImageCompression == "01"
    assert (made.LossyImageCompressionRatio, made.LossyImageCompressionMethod) == (8, "ISO_10918_1")


@pytest.mark.parametrize("code", sorted(REJECTIONS))
def test_there_is_a_page_for_what_somebody_waits_for_and_none_else(code: str) -> None:
    outcome = Outcome(Verdict.NOT_ANALYSED, reason=because(code))
    made = corpus.made(corpus.named("ascii"), "failed", "sc", outcome=outcome)
    assert (made is None) == (code in NO_ANSWER_EXPECTED)


def test_a_reason_of_another_version_gets_a_page() -> None:
    outcome = Outcome(Verdict.NOT_ANALYSED, reason=Warned("OF_TOMORROW", "Not known today."))
    assert corpus.made(corpus.named("ascii"), "failed", "sc", outcome=outcome) is not None


@pytest.mark.parametrize("character_set", corpus.NAMES)
def test_names_survive_and_the_same_input_gives_the_same_bytes(character_set: str) -> None:
    made = read(corpus.named(character_set))
    assert str(made.PatientName) == corpus.NAMES[character_set][1]
    assert corpus.pictured(corpus.named(character_set), "positive", "sc") == corpus.pictured(
        corpus.named(character_set), "positive", "sc"
    )


def test_the_name_is_not_burned_in_and_the_number_is() -> None:
    series, other, third = (corpus.named("ascii") for _ in range(3))
    other.header.PatientName, third.header.PatientID = "Roe^Richard", "P-4712"
    usual, renamed, renumbered = (read(s).pixel_array for s in (series, other, third))
    assert (usual == renamed).all()
    assert 0 < (usual != renumbered).any(-1).sum() < 400


def test_a_picture_of_slices_that_are_no_evidence_is_refused() -> None:
    series = corpus.named("ascii")
    with pytest.raises(ValueError, match="not among the evidence"):
        corpus.pictured(dataclasses.replace(series, evidence=series.evidence[:10]), "positive", "sc")


def test_two_series_of_two_kinds_look_different() -> None:
    pages = [read(corpus.named("ascii"), kind).pixel_array for kind in (*READ[:4], *UNREAD)]
    for index, page in enumerate(pages):
        assert all((page != other).any() for other in pages[index + 1 :])
    assert all(np.ptp(page) == 255 for page in pages)


def test_the_docs_name_every_series_of_pictures() -> None:
    docs = Path(__file__).parents[2] / "docs"
    for_people, for_machines = (docs / "radiologist.md").read_text(), (docs / "integrator.md").read_text()
    for name, module in (("sc", capture), ("sc-frames", capture_frames), ("pm", parametric_map)):
        called = module.SERIES_DESCRIPTION.removesuffix(" (investigational)")
        assert f"*{called}* ({FORMATS[name].series_number})" in for_people
        assert f"| `{name}` |" in for_machines
    assert HEAT_LEGEND.split(", ")[1] in " ".join(for_people.replace("*", "").split())
    assert (docs / "pictures" / "secondary-capture-phantom.png").stat().st_size < 300_000
