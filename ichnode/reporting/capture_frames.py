"""Every slice in colour with its heat map, to scroll through: a Multi-frame True Color SC (PS3.3 A.8.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.tag import Tag
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage, RLELossless

from ichnode.core.findings import Verdict
from ichnode.core.images import SeriesImages
from ichnode.reporting.capture import add_capture_modules, describe_pixels
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.header import result_header
from ichnode.reporting.part10 import as_file
from ichnode.reporting.picture.frames import SIDE, draw_frame, frame_words
from ichnode.reporting.picture.scan import Scan
from ichnode.reporting.sentences import NOTICE

SERIES_DESCRIPTION = "ICH AI slices (investigational)"


def build_sc_frames(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes | None:
    """Return one frame a slice, from the lowest upwards, as the bytes of a PS3.10 file in RLE Lossless.

    Parameters
    ----------
    answer : Answer
    identity : ReportIdentity
    predecessors : sequence of ReportReference
        Not used: a Secondary Capture has nowhere to name what it replaces.

    Returns
    -------
    bytes or None
        The same for the same input. None where nothing was analysed or the slices are not at hand.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        A slice is not among the evidence.
    """
    images = answer.images
    if images is None or answer.outcome.verdict is Verdict.NOT_ANALYSED:
        return None
    slices = len(images.volume)
    with pydicom.config.disable_value_validation():
        made = result_header(answer, identity, "OT", SERIES_DESCRIPTION)
        made.SOPClassUID = MultiFrameTrueColorSecondaryCaptureImageStorage
        add_capture_modules(made, answer, range(slices))
        made.DerivationDescription = f"Slices with network activation and scores drawn on them. {NOTICE}"
        made.NumberOfFrames = slices
        if slices > 1:
            made.FrameIncrementPointer = Tag("FrameLabelVector")
            made.FrameLabelVector = [f"Image {number}" for number in range(1, slices + 1)]
        describe_pixels(made, SIDE, SIDE)
        made.PixelData = encapsulate([*_encoded(answer, images, made)])
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
        return as_file(made, answer.device, RLELossless)


def _encoded(answer: Answer, images: SeriesImages, made: Dataset) -> Iterator[bytes]:
    """Yield each frame in RLE, drawn when it is its turn: hundreds of thin slices never lie in memory as colours."""
    outcome, scan = answer.outcome, Scan.of(images, range(len(images.volume)))
    for index, scores in enumerate(outcome.scores):
        reaches = any(score >= f.threshold for f, score in zip(outcome.findings, scores, strict=True))
        words = frame_words(outcome, images, made, index)
        # The encoder is named: another one may choose other runs, and the same answer must be the same bytes.
        yield RLELosslessEncoder.encode(
            draw_frame(scan, index, words, reaches).pixels, encoding_plugin="pylibjpeg", rows=SIDE, columns=SIDE,
            samples_per_pixel=3, photometric_interpretation="RGB", planar_configuration=0, bits_allocated=8,
            bits_stored=8, pixel_representation=0, number_of_frames=1,
        )  # fmt: skip
