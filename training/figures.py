"""Figures as functions of how often each patient counts, so that a bootstrap over patients costs no second sorting.

A slice weighs as often as its patient was drawn; slices of one patient belong together (`ichnode_training.evaluation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluation import Interval
from .recipe import CLASS_WEIGHTS

Weights = NDArray[np.float64]
Figure = Callable[[Weights], float]
BINS = 10
_LEAST = 1e-15  # as the competition clips


@dataclass(frozen=True)
class Draws:
    """Resamplings of the patients.

    Attributes
    ----------
    patient : int array of shape (samples,)
        Whose each sample is.
    counts : float array of shape (rounds, patients)
        How often each patient was drawn.
    """

    patient: NDArray[np.intp]
    counts: Weights

    @classmethod
    def of(cls, patients: Sequence[str], rounds: int, seed: int = 0) -> Draws:
        """Draw as many patients as there are, `rounds` times; `patients` names that of each sample."""
        names, index = np.unique(np.array(patients), return_inverse=True)
        counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), rounds)
        return cls(index.astype(np.intp), counts.astype(np.float64))

    def interval(self, figure: Figure, rows: NDArray[np.bool_] | None = None) -> Interval:
        """Return a figure of all samples, or of some rows, with the 2.5th and 97.5th percentile over the rounds."""
        patient = self.patient if rows is None else self.patient[rows]
        drawn = np.array([figure(count[patient]) for count in self.counts])
        value = figure(np.ones(len(patient)))
        if np.isnan(value) or np.isnan(drawn).all():
            return Interval(value, float("nan"), float("nan"))
        low, high = np.nanpercentile(drawn, (2.5, 97.5))
        return Interval(value, float(low), float(high))


@dataclass(frozen=True)
class Samples:
    """Slices or scans of one class.

    Attributes
    ----------
    truth : bool array of shape (samples,)
    scores : float array of shape (samples,)
    """

    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]

    @cached_property
    def _ranked(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        order = np.argsort(self.scores, kind="stable")
        return order, np.flatnonzero(np.r_[True, np.diff(self.scores[order]) > 0])

    def auc(self, weights: Weights) -> float:
        """Area under the ROC curve, ties counted half; NaN where a class is missing."""
        order, starts = self._ranked
        if not len(order):
            return float("nan")
        positive = np.add.reduceat((weights * self.truth)[order], starts)
        negative = np.add.reduceat((weights * ~self.truth)[order], starts)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return float("nan")
        return float((positive * (np.cumsum(negative) - negative / 2)).sum() / pairs)

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return false positive and true positive rate at every threshold, from (0, 0) to (1, 1)."""
        order, starts = self._ranked
        positive = np.add.reduceat(self.truth[order].astype(float), starts)[::-1]
        negative = np.add.reduceat((~self.truth[order]).astype(float), starts)[::-1]
        return (
            np.r_[0, np.cumsum(negative) / max(1.0, negative.sum())],
            np.r_[0, np.cumsum(positive) / max(1.0, positive.sum())],
        )

    def sensitivity(self, threshold: float) -> Figure:
        """Return the share of the positives at or over the threshold, as a figure."""
        return _share(self.truth, self.scores >= threshold)

    def specificity(self, threshold: float) -> Figure:
        """Return the share of the negatives under the threshold, as a figure."""
        return _share(~self.truth, self.scores < threshold)

    @cached_property
    def _bin(self) -> NDArray[np.intp]:
        return np.minimum((self.scores * BINS).astype(np.intp), BINS - 1)

    def calibration_error(self, weights: Weights) -> float:
        """Expected calibration error: mean distance of score and share of positives over ten equal bins (Guo 2017)."""
        total = np.bincount(self._bin, weights, BINS)
        off = np.bincount(self._bin, weights * (self.scores - self.truth), BINS)
        return float(np.abs(off).sum() / total.sum()) if total.sum() else float("nan")

    def reliability(self) -> list[tuple[float, float, int]]:
        """Return (mean score, share of positives, samples) of each bin that holds any."""
        rows = []
        for number in range(BINS):
            inside = self._bin == number
            if inside.any():
                rows.append((float(self.scores[inside].mean()), float(self.truth[inside].mean()), int(inside.sum())))
        return rows

    def confusion(self, threshold: float) -> dict[str, int]:
        """Return how many are true and false, positive and negative."""
        said = self.scores >= threshold
        return {
            "true_positive": int((said & self.truth).sum()), "false_negative": int((~said & self.truth).sum()),
            "false_positive": int((said & ~self.truth).sum()), "true_negative": int((~said & ~self.truth).sum()),
        }  # fmt: skip


def mean(values: NDArray[np.float64]) -> Figure:
    """Return the weighted mean of some values as a figure."""

    def figure(weights: Weights) -> float:
        total = weights.sum()
        return float((weights * values).sum() / total) if total else float("nan")

    return figure


def row_losses(
    truth: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the competition's loss of each slice and how much of it is known.

    The loss is binary cross entropy over the known labels, ``any`` counted twice, divided by the sum of their weights
    (7 where all are known).

    Parameters
    ----------
    truth, scores : arrays of shape (slices, 6)
        `truth` is NaN where unknown.

    Returns
    -------
    (losses, known)
        Arrays of shape (slices,); `known` is the share of the weights that is known, and where it is 0 the loss is 0.
    """
    clipped = np.clip(scores.astype(np.float64), _LEAST, 1 - _LEAST)
    said = np.nan_to_num(truth)
    each = -(said * np.log(clipped) + (1 - said) * np.log(1 - clipped))
    weights = np.array(CLASS_WEIGHTS) * np.isfinite(truth)
    total = weights.sum(1)
    return (each * weights).sum(1) / np.maximum(total, 1), total / sum(CLASS_WEIGHTS)


def weighted_log_loss(truth: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]]) -> float:
    """Return the competition's loss over all known labels of slices, or of scans; NaN where nothing is known."""
    losses, known = row_losses(truth, scores)
    return mean(losses)(known)


def _share(of: NDArray[np.bool_], said: NDArray[np.bool_]) -> Figure:
    def figure(weights: Weights) -> float:
        total = (weights * of).sum()
        return float((weights * (of & said)).sum() / total) if total else float("nan")

    return figure
