"""Marks on the key images: the brain window, one text an image, and silence where the window would be wrong."""

from __future__ import annotations

import dataclasses
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from ichnode.core.findings import Warned
from tests.reporting import corpus

BEST_FIRST = (29, 12, 14, 10, 28)
"""Key slices of the positive kinds, the highest score first."""


def read(series: corpus.Series, kind: str = "positive", **changes: object) -> Dataset:
    return pydicom.dcmread(BytesIO(corpus.report(series, kind, "gsps", **changes)))


def places(references: list[Dataset]) -> list[tuple[str, int]]:
    return [(r.ReferencedSOPInstanceUID, r.get("ReferencedFrameNumber", 1)) for r in references]


@pytest.mark.parametrize("header", ["ascii", "enhanced"])
def test_each_key_image_has_one_text_with_its_own_scores(header: str) -> None:
    series = corpus.SYNTHETIC[header]()
    made = read(series)
    assert places([a.ReferencedImageSequence[0] for a in made.GraphicAnnotationSequence]) == [
        series.order[index] for index in BEST_FIRST
    ]
    texts = [a.TextObjectSequence[0] for a in made.GraphicAnnotationSequence]
    assert [str(text.UnformattedTextValue).split("\r\n") for text in texts][:2] == [
        ["image 30 of 30", "epidural 1.000", "AI, research use only"],
        ["image 13 of 30", "any 0.988", "subdural 0.812", "AI, research use only"],
    ]
    # Validators do not see a layer that is nowhere declared.
    assert {a.GraphicLayer for a in made.GraphicAnnotationSequence} == {
        layer.GraphicLayer for layer in made.GraphicLayerSequence
    }
    for text in texts:
        corners = [*text.BoundingBoxTopLeftHandCorner, *text.BoundingBoxBottomRightHandCorner]
        assert text.BoundingBoxAnnotationUnits == "DISPLAY"
        assert 0 < corners[0] < corners[2] < 1 and 0.5 < corners[1] < corners[3] < 1
    assert not any("GraphicObjectSequence" in a for a in made.GraphicAnnotationSequence)


def test_the_images_are_referenced_once_and_frames_together() -> None:
    series = corpus.named("ascii")
    (of_series,) = read(series).ReferencedSeriesSequence
    assert of_series.SeriesInstanceUID == series.header.SeriesInstanceUID
    assert places(of_series.ReferencedImageSequence) == [series.order[index] for index in BEST_FIRST]
    (image,) = read(corpus.enhanced()).ReferencedSeriesSequence[0].ReferencedImageSequence
    assert image.ReferencedFrameNumber == [11, 13, 15, 29, 30]


@pytest.mark.parametrize("header", ["ascii", "enhanced"])
def test_the_window_is_the_brains_in_hounsfield_units(header: str) -> None:
    made = read(corpus.SYNTHETIC[header]())
    (window,) = made.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (40, 80)
    assert "ReferencedImageSequence" not in window  # for all
    assert (made.RescaleSlope, made.RescaleIntercept, made.RescaleType) == (1, -1024, "HU")
    assert made.PresentationLUTShape == "IDENTITY"
    (area,) = made.DisplayedAreaSelectionSequence
    assert area.DisplayedAreaBottomRightHandCorner == [512, 512]
    assert area.PresentationPixelSpacing == [0.48828125, 0.48828125]


def test_matrix_and_spacing_are_those_that_were_read_columns_before_rows() -> None:
    images = SimpleNamespace(volume=np.zeros((30, 400, 300), np.int16), spacing_mm=(0.1234567890123456789, 0.5))
    (area,) = read(corpus.named("ascii"), images=images).DisplayedAreaSelectionSequence
    assert area.DisplayedAreaBottomRightHandCorner == [300, 400]
    assert area.PresentationPixelSpacing == [0.12345678901235, 0.5]


def test_pixels_of_unknown_size_are_square() -> None:
    series = corpus.named("ascii")
    del series.header.PixelSpacing
    (area,) = read(series).DisplayedAreaSelectionSequence
    assert area.PresentationPixelAspectRatio == [1, 1] and "PresentationPixelSpacing" not in area


@pytest.mark.parametrize("code", ["MIXED_RESCALE", "MISSING_RESCALE", "WRAP_12BIT_REPAIRED", "MONOCHROME1_INVERTED"])
def test_there_is_none_where_one_rescale_does_not_hold(code: str) -> None:
    series = corpus.named("ascii")
    outcome, _ = corpus.outcome_of("positive", series)
    warned = dataclasses.replace(outcome, warnings=(Warned(code, "Said elsewhere."),))
    assert corpus.made(series, "positive", "gsps", outcome=warned) is None


def test_there_is_none_where_frames_differ_or_the_header_is_of_another_image() -> None:
    series = corpus.enhanced()
    frames = series.header.PerFrameFunctionalGroupsSequence
    frames[10].PixelValueTransformationSequence[0].RescaleIntercept = -1000
    assert corpus.made(series, "positive", "gsps") is None
    series = corpus.named("ascii")
    series.header.SOPInstanceUID = "2.25.4711"  # a localizer that was set aside
    assert corpus.made(series, "positive", "gsps") is None


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "RescaleSlope", "RescaleIntercept"])
def test_there_is_none_without_matrix_or_rescale(keyword: str) -> None:
    series = corpus.named("ascii")
    del series.header[keyword]
    assert corpus.made(series, "positive", "gsps") is None


@pytest.mark.parametrize("kind", ["negative", "partial_negative", "localizer", "failed"])
def test_there_is_none_without_key_slices(kind: str) -> None:
    assert corpus.made(corpus.named("ascii"), kind, "gsps") is None


@pytest.mark.parametrize("character_set", corpus.NAMES)
def test_names_survive_and_the_same_input_gives_the_same_bytes(character_set: str) -> None:
    make = corpus.SYNTHETIC[character_set]
    made = read(make())
    assert str(made.PatientName) == corpus.NAMES[character_set][1]
    assert (made.Modality, made.SeriesNumber, made.BodyPartExamined) == ("PR", 9107, "HEAD")
    assert made.SeriesDescription == "ICH AI marks on key images (investigational)"
    assert corpus.report(make(), "positive", "gsps") == corpus.report(make(), "positive", "gsps")
