"""How good the scores are: AUC with intervals that respect that slices of one patient belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES

Scores = Mapping[str, NDArray[np.float32]]
"""Patient → array of shape (slices, 6)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval from a bootstrap over patients."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Return the form that stands in a bundle's card, to three decimals."""
        return {"value": round(self.value, 3), "low": round(self.low, 3), "high": round(self.high, 3)}


def auc(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney), ties counted half; nan where a class is missing."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def slice_auc(scores: Scores, labels: Scores, column: int) -> Callable[[list[str]], float]:
    """Return the slice AUC of a class as a function of the patients that are counted (repeats count again)."""

    def figure(patients: list[str]) -> float:
        truth = np.concatenate([labels[p][:, column] for p in patients]) > 0.5
        return auc(truth, np.concatenate([scores[p][:, column] for p in patients]))

    return figure


def scan_auc(scores: Scores, labels: Scores, column: int) -> Callable[[list[str]], float]:
    """Return the scan AUC of a class: a scan's score is its highest slice, its label likewise."""

    def figure(patients: list[str]) -> float:
        truth = np.array([labels[p][:, column].max() for p in patients]) > 0.5
        return auc(truth, np.array([scores[p][:, column].max() for p in patients], np.float32))

    return figure


def interval(figure: Callable[[list[str]], float], patients: list[str], seed: int = 0, rounds: int = 2000) -> Interval:
    """Return a figure with the 2.5th and 97.5th percentile over `rounds` resamplings of the patients."""
    rng = np.random.default_rng(seed)
    drawn = [figure([patients[i] for i in rng.integers(len(patients), size=len(patients))]) for _ in range(rounds)]
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return Interval(figure(patients), float(low), float(high))


def threshold_for(sensitivity: float, truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Return the highest threshold at which at least this share of the positives is found (score >= threshold)."""
    positives = np.sort(scores[truth])[::-1]
    needed = max(1, int(np.ceil(sensitivity * len(positives) - 1e-9)))
    return float(positives[needed - 1])


def sensitivity_specificity(
    threshold: float, truth: NDArray[np.bool_], scores: NDArray[np.float32]
) -> tuple[float, float]:
    """Return both shares at `threshold`."""
    said = scores >= threshold
    return float(said[truth].mean()), float((~said[~truth]).mean())


def summary(scores: Scores, labels: Scores, least_patients: int = 8) -> dict[str, dict[str, object]]:
    """Return slice and scan AUC of every class, with intervals where at least `least_patients` patients bear it."""
    patients = list(labels)
    table: dict[str, dict[str, object]] = {}
    for column, name in enumerate(CLASSES):
        bearing = sum(bool(labels[p][:, column].any()) for p in patients)
        slices = int(sum(labels[p][:, column].sum() for p in patients))
        row: dict[str, object] = {"positive_patients": bearing, "positive_slices": slices}
        if bearing >= least_patients:
            row["slice_auc"] = interval(slice_auc(scores, labels, column), patients).as_json()
            row["scan_auc"] = interval(scan_auc(scores, labels, column), patients).as_json()
        else:
            row["note"] = "too few patients to measure"
        table[name] = row
    return table
