"""The key slices of all classes in one list, for the objects that point at images rather than at classes."""

from __future__ import annotations

from dataclasses import dataclass

from ichnode.core.findings import CLASSES, Outcome

COUNTED = "Images are counted from the lowest slice upwards."
"""What an image number means: slices lie in ascending order towards the head, whatever the scanner's numbers."""


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

    @property
    def caption(self) -> str:
        """The classes with the slice's own scores, in words."""
        return ", ".join(f"{name} {score:.3f}" for name, score in self.shows)


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
