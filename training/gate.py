"""The gate: is a candidate at least as good as the active model on patients that taught neither, and on phantoms?

Both models score the same scans; figures are compared in the same resamplings of the patients, so that what makes a
scan hard cancels out. A check that cannot be made for want of patients says so; where it is the AUC itself, it has
failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES

from .evaluation import Interval, auc

ROUNDS = 2000
SUBTYPE_DROP = 0.02
CALIBRATION_DROP = 0.02
LEAST_OF_A_SUBTYPE = 5
PHANTOM_DROP = 0.1
_SEED = 0

Figure = Callable[[NDArray[np.intp]], float]
"""Of the scans with these indices (repeats count again)."""


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

    def draws(self, column: int, rounds: int = ROUNDS) -> list[NDArray[np.intp]]:
        """Return resamplings of the patients of whom a class is known, as indices of scans; always the same."""
        places: dict[str, list[int]] = {}
        for index in self.known(column):
            places.setdefault(self.patients[index], []).append(int(index))
        groups = [np.array(indices, np.intp) for indices in places.values()]
        rng = np.random.default_rng(_SEED)
        return [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(rounds)]


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


def interval_of(figure: Figure, everything: NDArray[np.intp], draws: Sequence[NDArray[np.intp]]) -> Interval:
    """Return a figure with its 95 % interval."""
    low, high = np.nanpercentile([figure(drawn) for drawn in draws], (2.5, 97.5))
    return Interval(figure(everything), float(low), float(high))


def auc_of(test: TestSet, scores: NDArray[np.float32], column: int) -> Figure:
    """Return a class's AUC over scans."""
    return lambda indices: auc(test.labels[indices, column] == 1, scores[indices, column])


def calibration_error(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Expected calibration error: mean distance of score and share of positives in bins of equal size."""
    bins = np.array_split(np.argsort(scores, kind="stable"), max(1, min(10, len(scores) // 10)))
    gaps = [len(b) * abs(float(scores[b].mean()) - float(truth[b].mean())) for b in bins if len(b)]
    return float(sum(gaps) / len(scores))


def verdicts(scores: NDArray[np.float32], thresholds: Mapping[str, float]) -> NDArray[np.bool_]:
    """Return which scans are called positive: any class at its threshold."""
    return np.asarray((scores >= np.array([thresholds[name] for name in CLASSES], np.float32)).any(1))


def share_of(test: TestSet, said: NDArray[np.bool_], *, positives: bool) -> Figure:
    """Return sensitivity, or specificity, of verdicts."""

    def figure(indices: NDArray[np.intp]) -> float:
        chosen = indices[(test.labels[indices, 0] == 1) == positives]
        return float((said[chosen] == positives).mean()) if len(chosen) else float("nan")

    return figure


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
    said = "finds fewer bleeds in phantoms: " + "; ".join(worse) if worse else "finds as many bleeds in phantoms"
    figures = {
        who: {"sensitivity": judged.sensitivity, "specificity": judged.specificity["any"]}
        for who, judged in (("active", active), ("candidate", candidate))
    }
    return Check("phantoms", not worse, f"The candidate {said}.", figures)


def _auc(test: TestSet, margin: float) -> Check:
    known, draws = test.known(0), test.draws(0)
    new, old = (auc_of(test, scores, 0) for scores in (test.candidate, test.active))
    gain = interval_of(lambda indices: new(indices) - old(indices), known, draws)
    figures = {
        "candidate": interval_of(new, known, draws).as_json(), "active": interval_of(old, known, draws).as_json(),
        "difference": gain.as_json(), "margin": margin,
    }  # fmt: skip
    passed = gain.low >= -margin
    verdict = "not worse" if passed else f"may be worse by more than {margin:g}"
    sentence = (
        f"AUC of any {new(known):.3f}, the active model's {old(known):.3f}; difference {gain.value:+.3f} "
        f"(95 % {gain.low:+.3f} to {gain.high:+.3f}): {verdict}."
    )
    return Check("auc", passed, sentence, figures)


def _calibration(test: TestSet) -> Check:
    known, draws = test.known(0), test.draws(0)

    def error(scores: NDArray[np.float32]) -> Figure:
        return lambda indices: calibration_error(test.labels[indices, 0] == 1, scores[indices, 0])

    new, old = error(test.candidate), error(test.active)
    rise = interval_of(lambda indices: new(indices) - old(indices), known, draws)
    passed = rise.value <= CALIBRATION_DROP or rise.low <= 0
    sentence = (
        f"Calibration error of any {new(known):.3f}, the active model's {old(known):.3f}; difference "
        f"{rise.value:+.3f} (95 % {rise.low:+.3f} to {rise.high:+.3f}): {'not worse' if passed else 'worse'}."
    )
    return Check("calibration", passed, sentence, {"candidate": new(known), "active": old(known), **rise.as_json()})


def _subtypes(test: TestSet) -> list[Check]:
    checks = []
    for column, name in enumerate(CLASSES[1:], start=1):
        if min(test.count(column, 1), test.count(column, 0)) < LEAST_OF_A_SUBTYPE:
            checks.append(Check(name, True, f"Not judged: {test.count(column, 1)} patients with it.", {}))
            continue
        known = test.known(column)
        new, old = (auc_of(test, scores, column)(known) for scores in (test.candidate, test.active))
        passed = new >= old - SUBTYPE_DROP
        sentence = f"AUC {new:.3f}, the active model's {old:.3f}: {'no drop' if passed else 'a drop'}."
        checks.append(Check(name, passed, sentence, {"candidate": new, "active": old}))
    return checks


def _operating_point(test: TestSet, thresholds: Mapping[str, float], target: float) -> Check:
    known, draws = test.known(0), test.draws(0)
    said = verdicts(test.candidate, thresholds)
    found = interval_of(share_of(test, said, positives=True), known, draws)
    quiet = interval_of(share_of(test, said, positives=False), known, draws)
    passed = found.high >= target
    sentence = (
        f"At its operating point the candidate finds {found.value:.2f} ({found.low:.2f} to {found.high:.2f}) of the "
        f"scans with haemorrhage, target {target:g}; specificity {quiet.value:.2f} "
        f"({quiet.low:.2f} to {quiet.high:.2f})."
    )
    return Check("operating point", passed, sentence, {"sensitivity": found.as_json(), "specificity": quiet.as_json()})
