"""Every slice of a series as a small picture with its own words, for a viewer to scroll through."""

from __future__ import annotations

from pydicom.dataset import Dataset

from ichnode.core.findings import Outcome
from ichnode.core.images import SeriesImages
from ichnode.reporting.picture.lettering import AMBER, PALE, Box, Canvas
from ichnode.reporting.picture.scan import Scan
from ichnode.reporting.picture.words import identified, window_caption

SIDE = 448
"""Pixels: 34 slices take 4 to 6 MB in RLE, with 512 pixels 6 to 8."""
_TITLE: Box = (6, 2, 442, 26)
_SCORES: Box = (6, 26, 442, 60)
_SLICE: Box = (6, 62, 442, 406)
_NOTICE: Box = (6, 408, 442, 446)


def frame_words(outcome: Outcome, images: SeriesImages, made: Dataset, index: int) -> tuple[str, str, str, str]:
    """Return the words of a frame: its number, what reaches its threshold, the window or heat map, the notice."""
    scores = outcome.scores[index]
    reached = [
        f"{finding.name} {score:.3f}"
        for finding, score in zip(outcome.findings, scores, strict=True)
        if score >= finding.threshold
    ]
    said = f"over threshold: {', '.join(reached)}" if reached else f"none over threshold (any {scores[0]:.3f})"
    caption = window_caption("")
    if index in images.heat:
        caption += f", heat map: {images.heat_class[index]}"
    preliminary = "PRELIMINARY. " if outcome.preliminary else ""
    return (
        f"Image {index + 1} of {len(outcome.scores)}",
        said,
        caption,
        f"{preliminary}AI, research use only, not verified. {identified(made)}",
    )


def draw_frame(scan: Scan, index: int, words: tuple[str, str, str, str], reaches: bool) -> Canvas:
    """Draw one slice with its heat map, where there is one.

    Parameters
    ----------
    scan : Scan
        Cropped for all frames alike, so that scrolling does not make the head jump.
    reaches : bool
        Whether a class reaches its threshold on this slice.
    """
    title, said, caption, notice = words
    canvas = Canvas.blank(SIDE, SIDE)
    canvas.write(title, _TITLE, 20)
    canvas.write(said, _SCORES, 18, colour=AMBER if reaches else PALE)
    scan.draw(canvas, _SLICE, index, "", caption, scan.images.heat.get(index))
    canvas.write(notice, _NOTICE, 16, colour=PALE, smallest=10)
    return canvas
