"""Every slice in colour with its heat map, to scroll through: a Multi-frame True Color SC (PS3.3 A.8.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydicom.config
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage, RLELossless

from ichnode.core.findings import Verdict
from ichnode.core.images import SeriesImages
from ichnode.reporting.capture import add_capture_modules, add_pixels
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.header import result_header
from ichnode.reporting.part10 import as_file
from ichnode.reporting.picture.frames import draw_frame, frame_words
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
        frames = _frames(answer, images, made)
        add_pixels(made, frames)
        # The encoder is named: another one may choose other runs, and the same answer must be the same bytes.
        pixels = frames if slices > 1 else frames[0]
        made.compress(RLELossless, pixels, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        return as_file(made, answer.device, RLELossless)


def _frames(answer: Answer, images: SeriesImages, made: Dataset) -> NDArray[np.uint8]:
    """Return (frames, rows, columns, 3)."""
    outcome, scan = answer.outcome, Scan.of(images, range(len(images.volume)))
    drawn = []
    for index, scores in enumerate(outcome.scores):
        reaches = any(score >= f.threshold for f, score in zip(outcome.findings, scores, strict=True))
        words = frame_words(outcome, images, made, index)
        drawn.append(draw_frame(scan, index, words, reaches).pixels)
    return np.stack(drawn)
