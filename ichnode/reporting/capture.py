"""The answer as a picture in colour that every viewer shows: a Secondary Capture on one page (PS3.3 A.8.1).

Uncompressed, for it is one object of 3 MB and some viewers still take nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from ichnode.core.findings import Verdict
from ichnode.core.reasons import NO_ANSWER_EXPECTED
from ichnode.reporting.derivation import say_how_lossy, source_images
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.header import result_header
from ichnode.reporting.part10 import as_file
from ichnode.reporting.picture.page import draw_page
from ichnode.reporting.picture.words import page_words
from ichnode.reporting.sentences import NOTICE

SERIES_DESCRIPTION = "ICH AI picture (investigational)"


def build_sc(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes | None:
    """Return the page of an answer as a Secondary Capture, as the bytes of a PS3.10 file.

    Parameters
    ----------
    answer : Answer
        Without `images` the page has no slices.
    identity : ReportIdentity
    predecessors : sequence of ReportReference
        A Secondary Capture has nowhere to name what it replaces; the page says in words that it replaces something.

    Returns
    -------
    bytes or None
        The same for the same input. None where nobody expects an answer: a picture for every localizer would be in the
        way (`ichnode.core.reasons.NO_ANSWER_EXPECTED`).

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        A slice that is shown is not among the evidence.
    """
    if not is_expected(answer):
        return None
    with pydicom.config.disable_value_validation():
        made = result_header(answer, identity, "OT", SERIES_DESCRIPTION)
        words = page_words(answer, identity, made, bool(predecessors))
        made.SOPClassUID = SecondaryCaptureImageStorage
        add_capture_modules(made, answer, [caption.index for caption in words.captions])
        made.DerivationDescription = f"Slices, network activation and scores drawn on one page. {NOTICE}"
        page = draw_page(answer, words).pixels
        describe_pixels(made, *page.shape[:2])
        made.PixelData = page.tobytes()
        made["PixelData"].VR = "OB"
        return as_file(made, answer.device)


def is_expected(answer: Answer) -> bool:
    """Tell whether somebody waits for a picture of this answer."""
    reason = answer.outcome.reason
    return answer.outcome.verdict is not Verdict.NOT_ANALYSED or reason is None or reason.code not in NO_ANSWER_EXPECTED


def add_capture_modules(made: Dataset, answer: Answer, shown: Sequence[int]) -> None:
    """Add SC Equipment, General Image and SC Image (PS3.3 C.8.6.1, C.7.6.1, C.8.6.2) for the slices that are shown."""
    made.ConversionType = "WSD"
    made.BodyPartExamined = "HEAD"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.PatientOrientation = None  # a page has none; the letters are in the picture
    made.BurnedInAnnotation = "YES"
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    if shown and answer.outcome.order:
        made.SourceImageSequence = source_images(answer, sorted(shown))
    say_how_lossy(made, answer.header)


def describe_pixels(made: Dataset, rows: int, columns: int) -> None:
    """Add the Image Pixel module (PS3.3 C.7.6.3) of 8-bit colours, without the pixels."""
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.Rows, made.Columns = rows, columns
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
