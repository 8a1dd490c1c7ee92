"""The key slices of all classes in one list, for the objects that point at images rather than at classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from ichnode.core.findings import CLASSES, Outcome

COUNTED = "Images are counted from the lowest slice upwards."
"""What an image number means: slices lie in ascending order towards the head, whatever the scanner's numbers."""

_MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)


@dataclass(frozen=True, slots=True)
class KeySlice:
    """One slice and every class that it illustrates.

    Attributes
    ----------
    index : int
        Place in `Outcome.order`, from 0.
    shows : tuple of (class name, score)
        The score is the slice's own, 0..1; highest first.
    """

    index: int
    shows: tuple[tuple[str, float], ...]

    def caption(self, slices: int) -> str:
        """Return its number among all `slices` and its classes, in words."""
        shows = ", ".join(f"{name} {score:.3f}" for name, score in self.shows)
        return f"image {self.index + 1} of {slices}: {shows}"


def key_slices(outcome: Outcome) -> tuple[KeySlice, ...]:
    """Return each key slice once, the one with the highest score first; empty where nothing is present."""
    shown: dict[int, list[tuple[str, float]]] = {}
    for finding in outcome.findings:
        column = CLASSES.index(finding.name)
        for index in finding.key_slices:
            shown.setdefault(index, []).append((finding.name, outcome.scores[index][column]))
    found = [
        KeySlice(index, tuple(sorted(classes, key=lambda shows: -shows[1]))) for index, classes in sorted(shown.items())
    ]
    return tuple(sorted(found, key=lambda slice_: -slice_.shows[0][1]))


def slice_reference(outcome: Outcome, index: int, sop_classes: Mapping[str, str]) -> tuple[str, str, int | None]:
    """Return SOP Class UID, SOP Instance UID and frame of a slice, by its place in the order.

    The frame counts from 1 and is None where the image has only one.

    Raises
    ------
    ValueError
        The slice has no place in the order, or is not among the evidence.
    """
    if index >= len(outcome.order):
        raise ValueError(f"key slice {index} has no place in the order of {len(outcome.order)} slices")
    instance, frame = outcome.order[index]
    if instance not in sop_classes:
        raise ValueError(f"key slice {index} is not among the evidence")
    sop_class = sop_classes[instance]
    return sop_class, instance, frame if sop_class in _MULTI_FRAME else None
