"""Slices or scans of a data set with what a model said of them, and their figures with intervals over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES

from .evaluation import Interval
from .figures import Draws, Figure, Samples, mean, row_losses


class Level:
    """Slices or scans: labels and scores of shape (samples, 6), and whose each is.

    Parameters
    ----------
    patients : sequence of str
        Whose each sample is.
    labels, scores : float32 arrays of shape (samples, 6)
        Labels are NaN where unknown.
    rounds, seed : int
        Of the resamplings of the patients.
    """

    def __init__(
        self, patients: Sequence[str], labels: NDArray[np.float32], scores: NDArray[np.float32], rounds: int, seed: int
    ) -> None:
        self.labels, self.scores = labels, scores
        self._draws = Draws.of(patients, rounds, seed)

    def patients(self, rows: NDArray[np.bool_]) -> int:
        """Return how many patients some rows are of."""
        return len(np.unique(self._draws.patient[rows]))

    def known(self, column: int) -> NDArray[np.bool_]:
        """Return of which samples a class is known."""
        known: NDArray[np.bool_] = ~np.isnan(self.labels[:, column])
        return known

    def samples(self, column: int, rows: NDArray[np.bool_]) -> Samples:
        """Return some rows of a class."""
        return Samples(self.labels[rows, column] > 0.5, self.scores[rows, column].astype(np.float64))

    def figure(self, figure: Figure, rows: NDArray[np.bool_]) -> dict[str, float] | None:
        """Return a figure of some rows with its interval; None where it cannot be had."""
        return _plain(self._draws.interval(figure, rows)) if rows.any() else None

    def log_loss(self) -> dict[str, float] | None:
        """Return the competition's loss over the rows of which every class is known."""
        rows = np.logical_not(np.isnan(self.labels).any(axis=1))
        return self.figure(mean(row_losses(self.labels[rows], self.scores[rows])[0]), rows)

    def auc(self, column: int) -> dict[str, float] | None:
        """Return the AUC of a class."""
        rows = self.known(column)
        return self.figure(self.samples(column, rows).auc, rows)

    def classes(self, thresholds: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """Return the figures of every class."""
        return {name: self._class(column, thresholds[name]) for column, name in enumerate(CLASSES)}

    def _class(self, column: int, threshold: float) -> dict[str, Any]:
        rows = self.known(column)
        samples = self.samples(column, rows)
        return {
            "known": int(rows.sum()),
            "positive": int(samples.truth.sum()),
            "auc": self.auc(column),
            "sensitivity": self.figure(samples.sensitivity(threshold), rows),
            "specificity": self.figure(samples.specificity(threshold), rows),
            "ece": self.figure(samples.calibration_error, rows),
            "confusion": samples.confusion(threshold),
            "reliability": samples.reliability(),
            "roc": _thinned(samples) if samples.truth.any() and not samples.truth.all() else [],
        }


def _thinned(samples: Samples, most: int = 400) -> list[tuple[float, float]]:
    false, true = samples.roc()
    kept = np.unique(np.linspace(0, len(false) - 1, min(most, len(false))).round().astype(int))
    return [(round(float(false[i]), 5), round(float(true[i]), 5)) for i in kept]


def _plain(interval: Interval) -> dict[str, float] | None:
    if np.isnan(interval.value):
        return None
    figures = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: round(figure, 5) for name, figure in figures.items() if not np.isnan(figure)}
