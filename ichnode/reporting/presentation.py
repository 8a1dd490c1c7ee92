"""The key images as a radiologist would open them: brain window and the scores as text (PS3.3 A.33.1, Softcopy VOI).

Text only, and no outline: the network finds slices, not regions. Written with pydicom, since the images are known by
their UIDs alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage
from pydicom.valuerep import DSfloat

from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.header import result_header
from ichnode.reporting.key_slices import KeySlice, key_slices, slice_reference
from ichnode.reporting.part10 import as_file
from ichnode.reporting.pixel_attributes import functional_groups, matrix_of, rescale_of, spacing_of
from ichnode.reporting.sentences import NEW_LINE

SERIES_DESCRIPTION = "ICH AI marks on key images (investigational)"
BRAIN_WINDOW = (40, 80)
"""Centre and width in Hounsfield units."""

_LAYER = "ICH AI"
_LINE = 0.035
"""Height of a line of text as a share of the displayed area."""


def build_gsps(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes | None:
    """Return a Grayscale Softcopy Presentation State for the key slices, as the bytes of a PS3.10 file.

    Parameters
    ----------
    answer : Answer
    identity : ReportIdentity
    predecessors : sequence of ReportReference
        Not used: a presentation state has nowhere to name what it replaces.

    Returns
    -------
    bytes or None
        The same for the same input. None without a key slice, and where the window cannot be said in Hounsfield units:
        a presentation state takes the place of the image's own rescale (PS3.4 N.2), and the header's is not that of
        every slice.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        A key slice is not among the evidence.
    """
    shown = key_slices(answer.outcome)
    references = {slice_: _reference(answer, slice_) for slice_ in shown}
    with pydicom.config.disable_value_validation():
        groups = functional_groups(answer, [slice_.index for slice_ in shown])
        rescale, matrix = rescale_of(answer, groups), matrix_of(answer)
        if not shown or rescale is None or matrix is None:
            return None
        made = result_header(answer, identity, "PR", SERIES_DESCRIPTION)
        made.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
        made.BodyPartExamined = "HEAD"
        made.PresentationCreationDate, made.PresentationCreationTime = made.ContentDate, made.ContentTime
        del made.ContentDate, made.ContentTime
        made.ContentLabel, made.ContentDescription, made.ContentCreatorName = "ICH_AI", "ICH AI scores", None
        of_series = Dataset()
        of_series.SeriesInstanceUID = str(answer.header.SeriesInstanceUID)
        of_series.ReferencedImageSequence = _by_instance(list(references.values()))
        made.ReferencedSeriesSequence = [of_series]
        made.RescaleIntercept, made.RescaleSlope, made.RescaleType = rescale[1], rescale[0], "HU"
        made.SoftcopyVOILUTSequence = [_window()]
        made.PresentationLUTShape = "IDENTITY"
        made.DisplayedAreaSelectionSequence = [_displayed_area(matrix, spacing_of(answer, groups))]
        made.GraphicLayerSequence = [_layer()]
        made.GraphicAnnotationSequence = [
            _annotation(reference, [*_lines(slice_, len(answer.outcome.order))])
            for slice_, reference in references.items()
        ]
        return as_file(made, answer.device)


def _lines(slice_: KeySlice, slices: int) -> Iterator[str]:
    yield f"image {slice_.index + 1} of {slices}"
    yield from (f"{name} {score:.3f}" for name, score in slice_.shows)
    yield "AI, research use only"


def _reference(answer: Answer, slice_: KeySlice) -> Dataset:
    sop_class, instance, frame = slice_reference(answer.outcome, slice_.index, answer.sop_classes)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item


def _by_instance(references: Sequence[Dataset]) -> list[Dataset]:
    """Return one item for each image, with all of its frames (PS3.3 C.11.11)."""
    frames: dict[tuple[str, str], list[int]] = {}
    for reference in references:
        numbers = frames.setdefault((reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID), [])
        if "ReferencedFrameNumber" in reference:
            numbers.append(int(reference.ReferencedFrameNumber))
    items = []
    for (sop_class, instance), numbers in frames.items():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        if numbers:
            item.ReferencedFrameNumber = sorted(numbers)
        items.append(item)
    return items


def _window() -> Dataset:
    item = Dataset()
    item.WindowCenter, item.WindowWidth = BRAIN_WINDOW
    item.WindowCenterWidthExplanation = "Brain"
    return item


def _displayed_area(matrix: tuple[int, int], spacing: Sequence[DSfloat] | None) -> Dataset:
    """Return the whole image, fitted to the screen; pixels count as square where their size is not known."""
    rows, columns = matrix
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner, item.DisplayedAreaBottomRightHandCorner = [1, 1], [columns, rows]
    item.PresentationSizeMode = "SCALE TO FIT"
    if spacing is None:
        item.PresentationPixelAspectRatio = [1, 1]
    else:
        item.PresentationPixelSpacing = list(spacing)
    return item


def _layer() -> Dataset:
    item = Dataset()
    item.GraphicLayer, item.GraphicLayerOrder = _LAYER, 1
    item.GraphicLayerDescription = SERIES_DESCRIPTION
    return item


def _annotation(reference: Dataset, lines: Sequence[str]) -> Dataset:
    """Return the text of one image, in the lower left corner of what is displayed."""
    item, text = Dataset(), Dataset()
    text.BoundingBoxAnnotationUnits = "DISPLAY"
    text.UnformattedTextValue = NEW_LINE.join(lines)
    text.BoundingBoxTopLeftHandCorner = [0.02, round(0.98 - _LINE * len(lines), 3)]
    text.BoundingBoxBottomRightHandCorner = [0.5, 0.98]
    text.BoundingBoxTextHorizontalJustification = "LEFT"
    item.ReferencedImageSequence, item.GraphicLayer, item.TextObjectSequence = [reference], _LAYER, [text]
    return item
