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
from ichnode.reporting.sentences import NEW_LINE

SERIES_DESCRIPTION = "ICH AI marks on key images (investigational)"
BRAIN_WINDOW = (40, 80)
"""Centre and width in Hounsfield units."""

_NOT_BY_THE_HEADER = {"MIXED_RESCALE", "MISSING_RESCALE", "WRAP_12BIT_REPAIRED", "MONOCHROME1_INVERTED"}
"""Warnings that one rescale of the header does not turn the stored values of all slices into Hounsfield units."""
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
        a presentation state takes the place of the image's own rescale (PS3.3 C.11.1), and the header's is not that of
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
        groups = list(_functional_groups(answer, shown))
        rescale = _rescale(answer, groups)
        matrix = _matrix(answer)
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
        made.DisplayedAreaSelectionSequence = [_displayed_area(matrix, _spacing(answer, groups))]
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


def _functional_groups(answer: Answer, shown: Sequence[KeySlice]) -> Iterator[Dataset]:
    """Yield what may hold rescale and pixel spacing: the header itself, or the functional groups of the key frames."""
    header = answer.header
    yield header
    yield from header.get("SharedFunctionalGroupsSequence") or ()
    frames = header.get("PerFrameFunctionalGroupsSequence") or ()
    for slice_ in shown:
        number = answer.outcome.order[slice_.index][1]
        if number <= len(frames):
            yield frames[number - 1]


def _rescale(answer: Answer, groups: Sequence[Dataset]) -> tuple[DSfloat, DSfloat] | None:
    """Return the slope and intercept that hold for every key slice; None where there are none that do."""
    if _NOT_BY_THE_HEADER & {warning.code for warning in answer.outcome.warnings}:
        return None
    if str(answer.header.get("SOPInstanceUID")) not in {instance for instance, _ in answer.outcome.order}:
        return None  # a localizer, say, that was set aside: its rescale is its own
    found = set()
    for group in groups:
        holder = (group.get("PixelValueTransformationSequence") or [group])[0]
        slope, intercept = holder.get("RescaleSlope"), holder.get("RescaleIntercept")
        if slope and intercept is not None:
            found.add((_decimal(slope), _decimal(intercept)))
    return found.pop() if len(found) == 1 else None


def _decimal(value: float) -> DSfloat:
    """Return a number in the 16 characters of a decimal string (PS3.5 6.2)."""
    return DSfloat(float(value), auto_format=True)


def _spacing(answer: Answer, groups: Sequence[Dataset]) -> Sequence[float] | None:
    if answer.images is not None:
        return answer.images.spacing_mm
    for group in groups:
        spacing = (group.get("PixelMeasuresSequence") or [group])[0].get("PixelSpacing")
        if spacing and len(spacing) == 2:
            return list(spacing)
    return None


def _matrix(answer: Answer) -> tuple[int, int] | None:
    """Return rows and columns."""
    if answer.images is not None:
        _, rows, columns = answer.images.volume.shape
    else:
        rows, columns = answer.header.get("Rows"), answer.header.get("Columns")
    return (int(rows), int(columns)) if rows and columns else None


def _window() -> Dataset:
    item = Dataset()
    item.WindowCenter, item.WindowWidth = BRAIN_WINDOW
    item.WindowCenterWidthExplanation = "Brain"
    return item


def _displayed_area(matrix: tuple[int, int], spacing: Sequence[float] | None) -> Dataset:
    """Return the whole image, fitted to the screen; pixels count as square where their size is not known."""
    rows, columns = matrix
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner, item.DisplayedAreaBottomRightHandCorner = [1, 1], [columns, rows]
    item.PresentationSizeMode = "SCALE TO FIT"
    if spacing is None:
        item.PresentationPixelAspectRatio = [1, 1]
    else:
        item.PresentationPixelSpacing = [_decimal(side) for side in spacing]
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
