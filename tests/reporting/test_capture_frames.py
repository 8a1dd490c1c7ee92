"""Every slice in colour: a frame for each, in order, losslessly compressed, small."""

from __future__ import annotations

import dataclasses
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage, RLELossless

from ichnode.core.findings import CLASSES
from ichnode.reporting.header import result_header
from ichnode.reporting.picture.frames import SIDE, draw_frame, frame_words
from ichnode.reporting.picture.scan import Scan
from tests.reporting import corpus


def read(series: corpus.Series, kind: str = "positive", **changes: object) -> Dataset:
    return pydicom.dcmread(BytesIO(corpus.pictured(series, kind, "sc-frames", **changes)))


def words_of(kind: str, index: int) -> tuple[str, str, str, str]:
    series = corpus.named("ascii")
    answer = corpus.answer(series, kind)
    made = result_header(answer, corpus.identity(), "OT", "made")
    return frame_words(answer.outcome, corpus.images_of(series, kind), made, index)


@pytest.mark.parametrize("kind", ["positive", "negative", "partial_positive"])
def test_there_is_a_frame_for_every_slice(kind: str) -> None:
    made = read(corpus.named("ascii"), kind)
    assert made.SOPClassUID == MultiFrameTrueColorSecondaryCaptureImageStorage
    assert made.file_meta.TransferSyntaxUID == RLELossless
    assert (made.NumberOfFrames, made.Rows, made.Columns, made.SamplesPerPixel) == (30, SIDE, SIDE, 3)
    assert (made.Modality, made.SeriesNumber, made.SeriesDescription) == ("OT", 9104, "ICH AI slices (investigational)")
    assert made.FrameIncrementPointer == 0x00182002
    assert list(made.FrameLabelVector) == [f"Image {number}" for number in range(1, 31)]
    assert (made.BurnedInAnnotation, made.LossyImageCompression) == ("YES", "00")
    assert [i.ReferencedSOPInstanceUID for i in made.SourceImageSequence] == [
        uid for uid, _ in corpus.named("ascii").order
    ]
    assert len(made.PixelData) < 30 * SIDE * SIDE, "a third of what they are uncompressed"


def test_frames_decode_to_what_was_drawn_and_only_mapped_slices_are_coloured() -> None:
    series = corpus.named("ascii")
    frames = pixel_array(read(series))
    images = corpus.images_of(series, "positive")
    drawn = draw_frame(Scan.of(images, range(30)), 12, words_of("positive", 12), True).pixels
    assert (frames[12] == drawn).all()
    inside = np.ptp(frames[:, 50:400].astype(int), axis=-1).max((1, 2))
    assert {index for index, most in enumerate(inside) if most > 60} == set(images.heat)


def test_each_frame_says_what_reaches_its_threshold() -> None:
    assert words_of("positive", 12) == (
        "Image 13 of 30",
        "over threshold: any 0.988, subdural 0.812",
        "brain W 80 L 40, heat map: any",
        "AI, research use only, not verified. ID P-4711, accession A0001",
    )
    assert words_of("negative", 0)[1:3] == ("none over threshold (any 0.020)", "brain W 80 L 40")
    assert words_of("partial_positive", 0)[3].startswith("PRELIMINARY. AI, research use only")


def test_words_fit_at_their_longest() -> None:
    series = corpus.named("ascii")
    images = corpus.images_of(series, "positive")
    everything = ", ".join(f"{name} 0.999" for name in CLASSES)
    notice = f"PRELIMINARY. AI, research use only, not verified. ID {'P' * 64}, accession {'A' * 16}"
    words = ("Image 300 of 300", f"over threshold: {everything}", "subdural W 215 L 75, heat map: epidural", notice)
    canvas = draw_frame(Scan.of(images, [12]), 12, words, True)
    for written in canvas.written:
        assert not written.cut, written
        assert written.ink[0] >= 0 and written.ink[2] <= SIDE and written.ink[3] <= written.box[3]


@pytest.mark.parametrize("kind", ["contrast", "failed", "localizer"])
def test_there_is_none_of_what_was_not_analysed(kind: str) -> None:
    series = corpus.named("ascii")
    assert corpus.made(series, kind, "sc-frames", images=corpus.images_of(series, kind)) is None


def test_there_is_none_without_slices() -> None:
    assert corpus.made(corpus.named("ascii"), "positive", "sc-frames") is None


@pytest.mark.parametrize("slices", [1, 2])
def test_a_short_series_has_as_many_frames(slices: int) -> None:
    series = corpus.named("ascii")
    outcome, _ = corpus.outcome_of("negative", series)
    short = dataclasses.replace(outcome, scores=outcome.scores[:slices], order=outcome.order[:slices])
    made = read(series, "negative", outcome=short, images=corpus.images_of(series, "negative", slices))
    assert made.NumberOfFrames == slices and pixel_array(made).shape[-3:] == (SIDE, SIDE, 3)


@pytest.mark.parametrize("header", ["ascii", "enhanced", "utf8"])
def test_the_same_input_gives_the_same_bytes(header: str) -> None:
    make = corpus.SYNTHETIC[header]
    assert corpus.pictured(make(), "positive", "sc-frames") == corpus.pictured(make(), "positive", "sc-frames")
