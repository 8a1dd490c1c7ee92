"""The gate: is a candidate at least as good as the active model on patients that taught neither, and on phantoms?

Both models score the same scans; figures are compared in the same resamplings of the patients, so that what makes a
scan hard cancels out. A check that cannot be made for want of patients says so; where it is the AUC itself, it has
failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES

from .evaluation import Interval
from .figures import Draws, Figure, Samples

ROUNDS = 2000
SUBTYPE_DROP = 0.02
CALIBRATION_DROP = 0.02
LEAST_OF_A_SUBTYPE = 5
PHANTOM_DROP = 0.1
_SEED = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer, with figures for whoever wants to know more."""

    name: str
    passed: bool
    sentence: str
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the form that the node keeps."""
        return {"name": self.name, "passed": self.passed, "sentence": self.sentence, "figures": self.figures}


@dataclass(frozen=True, slots=True)
class TestSet:
    """Scans that both models have scored.

    Attributes
    ----------
    patients : sequence of str, one per scan
    labels, active, candidate : arrays of shape (scans, 6)
        Columns as `CLASSES`; labels are nan where not known, scores are those of the scan.
    """

    __test__ = False  # not for pytest

    patients: Sequence[str]
    labels: NDArray[np.float32]
    active: NDArray[np.float32]
    candidate: NDArray[np.float32]

    def known(self, column: int) -> NDArray[np.intp]:
        """Return the scans of which a class is known."""
        return np.flatnonzero(~np.isnan(self.labels[:, column]))

    def count(self, column: int, value: int) -> int:
        """Return how many patients have a scan with this label."""
        return len({self.patients[i] for i in np.flatnonzero(self.labels[:, column] == value).tolist()})

    def samples(self, scores: NDArray[np.float32], column: int) -> Samples:
        """Return the scans of which a class is known, with what `scores` of shape (scans, 6) say of it."""
        known = self.known(column)
        return Samples(self.labels[known, column] == 1, scores[known, column].astype(np.float64))

    def interval(self, figure: Figure, column: int) -> Interval:
        """Return a figure of `samples` with its 95 % interval; the resamplings are the same for every figure."""
        known = self.known(column)
        return Draws.of([self.patients[index] for index in known.tolist()], ROUNDS, _SEED).interval(figure)


def judge(
    test: TestSet, thresholds: Mapping[str, Mapping[str, float]], least: int, margin: float, target: float
) -> list[Check]:
    """Return the checks on patients.

    Parameters
    ----------
    thresholds : mapping of ``active`` and ``candidate`` to operating points
    least : int
        Patients with and without haemorrhage that there have to be.
    margin : float
        AUC by which the candidate may be worse, at the lower end of the 95 % interval.
    target : float
        Sensitivity that the candidate's operating point was set for.
    """
    positives, negatives = test.count(0, 1), test.count(0, 0)
    counts = {"patients": len(set(test.patients)), "positives": positives, "negatives": negatives}
    enough = min(positives, negatives) >= least
    said = f"{positives} patients with haemorrhage and {negatives} without"
    checks = [Check("test set", enough, said + ("." if enough else f"; {least} of each are needed."), counts)]
    if min(positives, negatives) == 0:
        return checks
    checks += [_auc(test, margin), _calibration(test), *_subtypes(test)]
    return [*checks, _operating_point(test, thresholds["candidate"], target)]


def verdicts(test: TestSet, scores: NDArray[np.float32], thresholds: Mapping[str, float]) -> Samples:
    """Return which scans bleed and which are called positive (score 1): any class at its threshold."""
    limits = np.array([thresholds[name] for name in CLASSES], np.float32)
    said = np.asarray((scores >= limits).any(1))
    known = test.known(0)
    return Samples(test.labels[known, 0] == 1, said[known].astype(np.float64))


def phantoms(active: Any, candidate: Any) -> Check:
    """Compare two bundles' figures on the phantom suite (`ichnode_training.phantom_suite.Judged`)."""
    worse = []
    for name in CLASSES:
        heads = sum(case.kind != "none" if name == "any" else case.kind == name for case in active.cases)
        allowed = max(PHANTOM_DROP, 1.01 / heads) if heads else 1.0
        if candidate.sensitivity[name] < active.sensitivity[name] - allowed:
            worse.append(f"{name} {candidate.sensitivity[name]:.2f} instead of {active.sensitivity[name]:.2f}")
    if candidate.specificity["any"] < active.specificity["any"] - PHANTOM_DROP:
        worse.append(f"specificity {candidate.specificity['any']:.2f} instead of {active.specificity['any']:.2f}")
    said = "is worse on phantoms: " + "; ".join(worse) if worse else "is not worse on phantoms"
    figures = {
        who: {"sensitivity": judged.sensitivity, "specificity": judged.specificity["any"]}
        for who, judged in (("active", active), ("candidate", candidate))
    }
    return Check("phantoms", not worse, f"The candidate {said}.", figures)


def _auc(test: TestSet, margin: float) -> Check:
    new, old = (test.samples(scores, 0).auc for scores in (test.candidate, test.active))
    gain = test.interval(lambda weights: new(weights) - old(weights), 0)
    candidate, active = test.interval(new, 0), test.interval(old, 0)
    figures = {
        "candidate": candidate.as_json(), "active": active.as_json(), "difference": gain.as_json(), "margin": margin,
    }  # fmt: skip
    passed = gain.low >= -margin
    verdict = "not worse" if passed else f"may be worse by more than {margin:g}"
    sentence = (
        f"AUC of any {candidate.value:.3f}, the active model's {active.value:.3f}; difference {gain.value:+.3f} "
        f"(95 % {gain.low:+.3f} to {gain.high:+.3f}): {verdict}."
    )
    return Check("auc", passed, sentence, figures)


def _calibration(test: TestSet) -> Check:
    new, old = (test.samples(scores, 0).calibration_error for scores in (test.candidate, test.active))
    rise = test.interval(lambda weights: new(weights) - old(weights), 0)
    every = np.ones(len(test.known(0)))
    candidate, active = new(every), old(every)
    passed = rise.value <= CALIBRATION_DROP or rise.low <= 0
    sentence = (
        f"Calibration error of any {candidate:.3f}, the active model's {active:.3f}; difference "
        f"{rise.value:+.3f} (95 % {rise.low:+.3f} to {rise.high:+.3f}): {'not worse' if passed else 'worse'}."
    )
    return Check("calibration", passed, sentence, {"candidate": candidate, "active": active, **rise.as_json()})


def _subtypes(test: TestSet) -> list[Check]:
    checks = []
    for column, name in enumerate(CLASSES[1:], start=1):
        if min(test.count(column, 1), test.count(column, 0)) < LEAST_OF_A_SUBTYPE:
            checks.append(Check(name, True, f"Not judged: {test.count(column, 1)} patients with it.", {}))
            continue
        new, old = (
            seen.auc(np.ones(len(seen.truth)))
            for seen in (test.samples(scores, column) for scores in (test.candidate, test.active))
        )
        passed = new >= old - SUBTYPE_DROP
        sentence = f"AUC {new:.3f}, the active model's {old:.3f}: {'no drop' if passed else 'a drop'}."
        checks.append(Check(name, passed, sentence, {"candidate": new, "active": old}))
    return checks


def _operating_point(test: TestSet, thresholds: Mapping[str, float], target: float) -> Check:
    said = verdicts(test, test.candidate, thresholds)
    found, quiet = test.interval(said.sensitivity(0.5), 0), test.interval(said.specificity(0.5), 0)
    passed = found.high >= target
    sentence = (
        f"At its operating point the candidate finds {found.value:.2f} ({found.low:.2f} to {found.high:.2f}) of the "
        f"scans with haemorrhage, target {target:g}; specificity {quiet.value:.2f} "
        f"({quiet.low:.2f} to {quiet.high:.2f})."
    )
    return Check("operating point", passed, sentence, {"sensitivity": found.as_json(), "specificity": quiet.as_json()})
