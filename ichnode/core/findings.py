"""What the network's scores say: six classes, thresholds, key slices, a verdict.

The class order is the paper's (Nguyen et al., MIDL 2020): any, intraparenchymal, intraventricular, subarachnoid,
subdural, epidural. Scores are sigmoid outputs in 0..1 and are not calibrated probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

CLASSES = ("any", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "epidural")


class Verdict(StrEnum):
    """The three answers. Silence is never one of them."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    NOT_ANALYSED = "not_analysed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One class at scan level.

    Attributes
    ----------
    name : str
        One of `CLASSES`.
    score : float
        Maximum over slices, 0..1 (the paper's scan score).
    threshold : float
        Operating point of the model bundle, 0..1.
    key_slices : tuple of int
        Indices (into the ordered slices) of up to three highest slices at or over the threshold, best first, no two
        of them neighbours where others are to be had; empty when absent.
    """

    name: str
    score: float
    threshold: float
    key_slices: tuple[int, ...] = ()

    @property
    def present(self) -> bool:
        """Whether the score reaches the threshold."""
        return self.score >= self.threshold


@dataclass(frozen=True, slots=True)
class Warned:
    """A defect that was corrected or tolerated and that the reader has to know of: stable code and sentence."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one revision of one series.

    Attributes
    ----------
    verdict : Verdict
    scores : tuple of (6,) tuples
        Score of every slice in geometric order, columns as `CLASSES`; empty when not analysed.
    findings : tuple of Finding
        One per class, in the order of `CLASSES`; empty when not analysed.
    warnings : tuple of Warned
    reason : Warned or None
        Why it was not analysed.
    missing : str or None
        Set when the series was partial: what is missing, in words. The result is then preliminary.
    """

    verdict: Verdict
    scores: tuple[tuple[float, ...], ...] = ()
    findings: tuple[Finding, ...] = ()
    warnings: tuple[Warned, ...] = ()
    reason: Warned | None = None
    missing: str | None = None
    order: tuple[tuple[str, int], ...] = field(default=())
    """(SOP Instance UID, frame) of each row of `scores`."""
    measures: dict[str, float] = field(default_factory=dict)
    """Of the images themselves, for the control charts of a scanner: ``spacing_mm``, ``brain_hu``."""

    @property
    def preliminary(self) -> bool:
        """Whether more slices are known or thought to be missing."""
        return self.missing is not None

    @property
    def any_score(self) -> float | None:
        """Scan score of the class `any`, or None when not analysed."""
        return self.findings[0].score if self.findings else None


def findings_from(scores: Sequence[Sequence[float]], thresholds: Mapping[str, float]) -> tuple[Finding, ...]:
    """Reduce slice scores to scan findings by the maximum over slices.

    Parameters
    ----------
    scores : sequence of shape (slices, 6)
    thresholds : mapping of class name to operating point
    """
    found = []
    for column, name in enumerate(CLASSES):
        threshold = thresholds[name]
        values = [row[column] for row in scores]
        found.append(Finding(name, max(values), threshold, _key_slices(values, threshold)))
    return tuple(found)


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """Return positive when any class reaches its threshold, else negative."""
    return Verdict.POSITIVE if any(f.present for f in findings) else Verdict.NEGATIVE


def _key_slices(values: Sequence[float], threshold: float, most: int = 3) -> tuple[int, ...]:
    best = [i for i in sorted(range(len(values)), key=lambda i: -values[i]) if values[i] >= threshold]
    chosen: list[int] = []
    for index in best:
        if len(chosen) < most and all(abs(index - other) > 1 for other in chosen):
            chosen.append(index)
    for index in best:
        if len(chosen) < most and index not in chosen:
            chosen.append(index)
    return tuple(chosen)
