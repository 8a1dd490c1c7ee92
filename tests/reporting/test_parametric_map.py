"""The heat maps as numbers: the very values, on the very grid of the CT."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest
from highdicom.pm import ParametricMap
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ParametricMapStorage

from tests.reporting import corpus

MAPPED = [10, 12, 14, 28, 29]


def read(series: corpus.Series, kind: str = "positive", **changes: object) -> Dataset:
    return pydicom.dcmread(BytesIO(corpus.pictured(series, kind, "pm", **changes)))


def test_it_holds_the_values_of_each_map_and_nought_elsewhere() -> None:
    made, images = read(corpus.named("ascii")), corpus.images_of(corpus.named("ascii"), "positive")
    assert made.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert made.SOPClassUID == ParametricMapStorage
    assert (made.Modality, made.SeriesNumber, made.ContentQualification) == ("OT", 9106, "RESEARCH")
    assert (made.NumberOfFrames, made.Rows, made.Columns, made.BitsAllocated) == (30, 64, 56, 32)
    stored = np.frombuffer(made.FloatPixelData, "<f4").reshape(30, 64, 56)
    assert sorted(images.heat) == MAPPED
    assert np.abs(stored[MAPPED] - np.stack([images.heat[index] for index in MAPPED])).max() <= 1 / 512
    assert stored.max() == 1.0 and 0 < stored[MAPPED].mean() < 0.5
    assert not np.delete(stored, MAPPED, 0).any()


@pytest.mark.parametrize("header", ["ascii", "enhanced"])
def test_each_frame_lies_where_its_slice_lies_and_names_it(header: str) -> None:
    series = corpus.SYNTHETIC[header]()
    made, images = read(series), corpus.images_of(series, "positive")
    assert made.FrameOfReferenceUID == series.header.FrameOfReferenceUID
    shared = made.SharedFunctionalGroupsSequence[0]
    assert tuple(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == corpus.USUAL
    measures = shared.PixelMeasuresSequence[0]
    assert (list(measures.PixelSpacing), measures.SliceThickness) == ([0.9, 1.1], 5)
    for index, frame in enumerate(made.PerFrameFunctionalGroupsSequence):
        assert tuple(frame.PlanePositionSequence[0].ImagePositionPatient) == images.positions_mm[index]
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert (source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber", 1)) == series.order[index]
        assert frame.FrameContentSequence[0].DimensionIndexValues == index + 1
        assert (
            frame.FrameContentSequence[0].FrameLabel
            == f"{images.heat_class.get(index, 'no map')}, image {index + 1} of 30"
        )
    (of_series,) = made.ReferencedSeriesSequence
    assert of_series.SeriesInstanceUID == series.header.SeriesInstanceUID
    referenced = [item.ReferencedSOPInstanceUID for item in of_series.ReferencedInstanceSequence]
    assert referenced == list(dict.fromkeys(instance for instance, _ in series.order))


def test_frames_follow_the_normal_of_the_slices_whichever_way_it_points() -> None:
    """OHIF counts frames from that end; a prone or turned acquisition has its normal towards the feet."""
    series = corpus.named("ascii")
    turned = corpus.images_of(series, "positive", orientation=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    made = read(series, images=turned)
    heights = [
        float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in made.PerFrameFunctionalGroupsSequence
    ]
    assert heights == sorted(heights, reverse=True)
    stored = np.frombuffer(made.FloatPixelData, "<f4").reshape(30, 64, 56)
    assert [29 - int(frame) for frame in np.flatnonzero(stored.any((1, 2)))] == MAPPED[::-1]


def test_the_numbers_mean_class_activation_from_nought_to_one() -> None:
    (mapping,) = read(corpus.named("ascii")).SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    concept = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning) == (
        "130402",
        "DCM",
        "Class activation",
    )
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == 1.0


def test_others_read_it() -> None:
    made = ParametricMap.from_dataset(read(corpus.named("ascii")))
    images = corpus.images_of(corpus.named("ascii"), "positive")
    assert made.get_source_image_uids()[12][2] == corpus.named("ascii").order[12][0]
    assert made.pixel_array[12] == pytest.approx(images.heat[12], abs=1 / 512)


def test_places_are_written_in_sixteen_characters() -> None:
    series = corpus.named("ascii")
    images = corpus.images_of(series, "positive", positions_mm=tuple((-1 / 3, -200 / 3, i * 10 / 3) for i in range(30)))
    place = read(series, images=images).PerFrameFunctionalGroupsSequence[12].PlanePositionSequence[0]
    assert np.allclose(np.array(place.ImagePositionPatient, float), (-1 / 3, -200 / 3, 40), atol=1e-9)


def test_an_unknown_thickness_is_not_invented() -> None:
    images = corpus.images_of(corpus.named("ascii"), "positive", thickness_mm=None)
    shared = read(corpus.named("ascii"), images=images).SharedFunctionalGroupsSequence[0]
    assert "SliceThickness" not in shared.PixelMeasuresSequence[0]


def test_there_is_none_without_maps_or_a_place_for_them() -> None:
    series = corpus.named("ascii")
    assert corpus.made(series, "positive", "pm") is None
    assert corpus.made(series, "negative", "pm", images=corpus.images_of(series, "negative")) is None
    del series.header.FrameOfReferenceUID
    assert corpus.made(series, "positive", "pm", images=corpus.images_of(series, "positive")) is None


@pytest.mark.parametrize("character_set", corpus.NAMES)
def test_names_survive_and_the_same_input_gives_the_same_bytes(character_set: str) -> None:
    assert str(read(corpus.named(character_set)).PatientName) == corpus.NAMES[character_set][1]
    make = corpus.SYNTHETIC[character_set]
    assert corpus.pictured(make(), "positive", "pm") == corpus.pictured(make(), "positive", "pm")
