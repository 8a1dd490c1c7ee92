"""What a reader says of an answer, and what follows from it: labels at the level of the scan and of single slices.

Only what a reader said counts as known. Agreeing with a positive says that there is haemorrhage, not of which kind, and
nothing of any single slice; agreeing with a negative says that there is none of any kind on any slice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ichnode.core.findings import CLASSES, Verdict

ANY = CLASSES[0]
MOST_COMMENT = 2000
"""Characters of a comment: a remark, not a report."""

SliceKey = tuple[str, int]
"""SOP Instance UID and frame, as in `Outcome.order`."""


class ContradictionError(ValueError):
    """A reader's words contradict each other; the text says how, in a sentence for the reader."""


@dataclass(frozen=True, slots=True)
class Label:
    """Whether a class is there, on the whole scan or on one slice.

    Attributes
    ----------
    name : str
        One of `CLASSES`.
    present : bool
    slice : SliceKey or None
        None means the whole scan.
    """

    name: str
    present: bool
    slice: SliceKey | None = None

    def __post_init__(self) -> None:
        if self.name not in CLASSES:
            raise ContradictionError(f"There is no class {self.name[:40]!r}.")


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one reader says of one result.

    Attributes
    ----------
    agrees : bool
        With the verdict; with the decision not to analyse where there is none.
    labels : tuple of Label
        What the reader says beyond that; each class at most once for the scan and for each slice.
    comment : str
    """

    agrees: bool
    labels: tuple[Label, ...] = ()
    comment: str = ""

    def __post_init__(self) -> None:
        if len({(one.name, one.slice) for one in self.labels}) < len(self.labels):
            raise ContradictionError("A class was judged twice for the same slice or for the scan.")
        if len(self.comment) > MOST_COMMENT:
            raise ContradictionError(f"A comment has at most {MOST_COMMENT} characters.")


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a scan by a reader's word; a class that is not named is not known.

    Attributes
    ----------
    scan : mapping of class to bool
    slices : mapping of SliceKey to mapping of class to bool
        Only slices of which something is known. Where the scan shows nothing of a class, no slice does, named or not.
    """

    scan: Mapping[str, bool] = field(default_factory=dict)
    slices: Mapping[SliceKey, Mapping[str, bool]] = field(default_factory=dict)


def truth(verdict: Verdict, feedback: Feedback) -> Truth:
    """Return what follows from a reader's word on an answer.

    Raises
    ------
    ContradictionError
        The parts of it exclude each other.
    """
    scan: dict[str, bool] = {}
    if verdict is not Verdict.NOT_ANALYSED:
        _say(scan, ANY, (verdict is Verdict.POSITIVE) == feedback.agrees, "the whole scan")
    slices: dict[SliceKey, dict[str, bool]] = {}
    for label in sorted(feedback.labels, key=lambda one: not one.present):  # what is there implies what it is part of
        where = scan if label.slice is None else slices.setdefault(label.slice, {})
        _say(where, label.name, label.present, "the whole scan" if label.slice is None else "a slice")
        if label.present:
            for upper in (where, scan):
                _say(upper, label.name, True, "the whole scan")
                _say(upper, ANY, True, "the whole scan")
    for where in (scan, *slices.values()):
        if where.get(ANY) is False:
            where.update(dict.fromkeys(CLASSES, False))
    return Truth(scan, slices)


def _say(where: dict[str, bool], name: str, present: bool, place: str) -> None:
    if where.setdefault(name, present) != present:
        what = "hemorrhage" if name == ANY else f"{name} hemorrhage"
        raise ContradictionError(f"By what you say there both is and is not {what} on {place}: change one of the two.")
