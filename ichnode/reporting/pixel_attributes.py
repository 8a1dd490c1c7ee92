"""What the header of a series says of its pixels, wherever it says it: matrix, spacing, rescale."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

from ichnode.reporting.facts import Answer

_NOT_BY_THE_HEADER = {"MIXED_RESCALE", "MISSING_RESCALE", "WRAP_12BIT_REPAIRED", "MONOCHROME1_INVERTED"}
"""Warnings that one rescale of the header does not turn the stored values of all slices into Hounsfield units."""


def functional_groups(answer: Answer, indices: Sequence[int]) -> list[Dataset]:
    """Return what may hold rescale and spacing of some slices: the header, or the groups of an enhanced image.

    Parameters
    ----------
    indices : sequence of int
        Places in `Outcome.order`.
    """
    header = answer.header
    frames = header.get("PerFrameFunctionalGroupsSequence") or ()
    numbers = [answer.outcome.order[index][1] for index in indices]
    return [
        header,
        *(header.get("SharedFunctionalGroupsSequence") or ()),
        *(frames[number - 1] for number in numbers if number <= len(frames)),
    ]


def rescale_of(answer: Answer, groups: Sequence[Dataset]) -> tuple[DSfloat, DSfloat] | None:
    """Return the slope and intercept that hold for every slice of `groups`; None where there are none that do."""
    if _NOT_BY_THE_HEADER & {warning.code for warning in answer.outcome.warnings}:
        return None
    if str(answer.header.get("SOPInstanceUID")) not in {instance for instance, _ in answer.outcome.order}:
        return None  # a localizer, say, that was set aside: its rescale is its own
    found = set()
    for group in groups:
        holder = (group.get("PixelValueTransformationSequence") or [group])[0]
        slope, intercept = holder.get("RescaleSlope"), holder.get("RescaleIntercept")
        if slope and intercept is not None:
            found.add((decimal(slope), decimal(intercept)))
    return found.pop() if len(found) == 1 else None


def spacing_of(answer: Answer, groups: Sequence[Dataset]) -> list[DSfloat] | None:
    """Return the millimetres between rows and between columns; None where nothing says them."""
    found = [answer.images.spacing_mm] if answer.images is not None else []
    found += [(group.get("PixelMeasuresSequence") or [group])[0].get("PixelSpacing") for group in groups]
    return next(([decimal(side) for side in spacing] for spacing in found if spacing and len(spacing) == 2), None)


def matrix_of(answer: Answer) -> tuple[int, int] | None:
    """Return rows and columns; None where nothing says them."""
    if answer.images is not None:
        _, rows, columns = answer.images.volume.shape
    else:
        rows, columns = answer.header.get("Rows"), answer.header.get("Columns")
    return (int(rows), int(columns)) if rows and columns else None


def decimal(value: float) -> DSfloat:
    """Return a number in the 16 characters of a decimal string (PS3.5 6.2)."""
    return DSfloat(float(value), auto_format=True)
