"""What a model's scores are worth on a data set: every figure with an interval from a bootstrap over patients.

Slice level, where every bleeding scan has a slice that is labelled so: else only the slices of negative scans would
count. Scan level by the highest slice (the paper). Subgroups: thickness, kernel,
scanner, and the outlined volume where somebody measured it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.core.kernels import Kernel

from .evaluation import Interval
from .figures import Draws, Figure, Samples, mean, row_losses
from .planes import Scan

THICKNESS_MM = (("under 2.5 mm", 0.0, 2.5), ("2.5 to 4 mm", 2.5, 4.0), ("4 to 6 mm", 4.0, 6.0), ("over 6 mm", 6.0, 1e9))
VOLUME_ML = (("under 5 mL", 0.0, 5.0), ("5 to 25 mL", 5.0, 25.0), ("25 mL and more", 25.0, 1e9))
_KERNELS = {Kernel.SOFT: "soft tissue", Kernel.BONE: "bone", Kernel.UNKNOWN: "unknown"}
MOST_SCANNERS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One scan and what the model said: float32 array of shape (slices, 6)."""

    scan: Scan
    scores: NDArray[np.float32]

    @property
    def scan_scores(self) -> NDArray[np.float32]:
        """The highest slice of each class."""
        highest: NDArray[np.float32] = self.scores.max(axis=0)
        return highest


def assess(judged: Sequence[Judged], thresholds: Mapping[str, float], rounds: int, seed: int = 0) -> dict[str, Any]:
    """Return all figures, ready for JSON; one that cannot be had is None.

    Parameters
    ----------
    judged : sequence of Judged
    thresholds : mapping of class to threshold
        The operating points.
    rounds : int
        Resamplings of the patients.
    """
    scans = _Level([j.scan.patient for j in judged], *_scan_rows(judged), rounds, seed)
    slices = _Level([j.scan.patient for j in judged for _ in j.scores], *_slice_rows(judged), rounds, seed)
    return {
        "patients": len({j.scan.patient for j in judged}),
        "scans": len(judged),
        "slices": int(sum(len(j.scores) for j in judged)),
        "rounds": rounds,
        "thresholds": {name: float(thresholds[name]) for name in CLASSES},
        "log_loss": slices.log_loss(),
        "slice": slices.classes(thresholds),
        "scan": scans.classes(thresholds),
        "subgroups": list(_subgroups(judged, scans, thresholds["any"])),
    }


class _Level:
    """Slices or scans: labels and scores of shape (samples, 6), and whose each is."""

    def __init__(
        self, patients: Sequence[str], labels: NDArray[np.float32], scores: NDArray[np.float32], rounds: int, seed: int
    ) -> None:
        self.labels, self.scores = labels, scores
        self._draws = Draws.of(patients, rounds, seed)

    def known(self, column: int) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = ~np.isnan(self.labels[:, column])
        return known

    def samples(self, column: int, rows: NDArray[np.bool_]) -> Samples:
        return Samples(self.labels[rows, column] > 0.5, self.scores[rows, column].astype(np.float64))

    def figure(self, figure: Figure, rows: NDArray[np.bool_]) -> dict[str, float] | None:
        return _plain(self._draws.interval(figure, rows)) if rows.any() else None

    def log_loss(self) -> dict[str, float] | None:
        rows = np.logical_not(np.isnan(self.labels).any(axis=1))
        return self.figure(mean(row_losses(self.labels[rows], self.scores[rows])[0]), rows)

    def classes(self, thresholds: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        return {name: self._class(column, thresholds[name]) for column, name in enumerate(CLASSES)}

    def _class(self, column: int, threshold: float) -> dict[str, Any]:
        rows = self.known(column)
        samples = self.samples(column, rows)
        return {
            "known": int(rows.sum()),
            "positive": int(samples.truth.sum()),
            "auc": self.figure(samples.auc, rows),
            "sensitivity": self.figure(samples.sensitivity(threshold), rows),
            "specificity": self.figure(samples.specificity(threshold), rows),
            "ece": self.figure(samples.calibration_error, rows),
            "confusion": samples.confusion(threshold),
            "reliability": samples.reliability(),
            "roc": _thinned(samples) if samples.truth.any() and not samples.truth.all() else [],
        }


def _scan_rows(judged: Sequence[Judged]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.stack([j.scan.scan_labels for j in judged]), np.stack([j.scan_scores for j in judged])


def _slice_rows(judged: Sequence[Judged]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    labels = np.concatenate([j.scan.labels for j in judged])
    if any(j.scan.scan_labels[0] == 1 and not (j.scan.labels[:, 0] == 1).any() for j in judged):
        labels = np.full_like(labels, np.nan)
    return labels, np.concatenate([j.scores for j in judged])


def _subgroups(judged: Sequence[Judged], level: _Level, threshold: float) -> Iterator[dict[str, Any]]:
    """Yield the figures of ``any`` at scan level for each group that has any scan."""
    known = level.known(0)
    negative = known & (level.labels[:, 0] == 0)
    for kind, name, members in _groups(judged):
        rows = known & members
        if kind == "lesion volume":
            rows = np.asarray(
                (rows & ~negative) | negative
            )  # negatives have no volume: all of them stand against each group
        if not members.any():
            continue
        samples = level.samples(0, rows)
        yield {
            "kind": kind, "name": name, "scans": int(members.sum()), "positive": int(samples.truth.sum()),
            "auc": level.figure(samples.auc, rows),
            "sensitivity": level.figure(samples.sensitivity(threshold), rows),
            "specificity": None if kind == "lesion volume" else level.figure(samples.specificity(threshold), rows),
        }  # fmt: skip


def _groups(judged: Sequence[Judged]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    thickness = np.array([np.nan if j.scan.thickness_mm is None else j.scan.thickness_mm for j in judged])
    for name, low, high in THICKNESS_MM:
        yield "thickness", name, (low <= thickness) & (thickness < high)
    yield "thickness", "unknown", np.isnan(thickness)
    kernels = np.array([j.scan.kernel_kind for j in judged])
    for kernel, name in _KERNELS.items():
        yield "kernel", name, kernels == kernel
    scanners = np.array([j.scan.scanner for j in judged])
    found, counts = np.unique(scanners, return_counts=True)
    for index in np.argsort(-counts, kind="stable")[:MOST_SCANNERS]:
        yield "scanner", str(found[index]), scanners == found[index]
    volume = np.array([j.scan.lesion_ml[0] for j in judged])
    for name, low, high in VOLUME_ML:
        yield "lesion volume", name, (volume > 0) & (low <= volume) & (volume < high)


def _thinned(samples: Samples, most: int = 400) -> list[tuple[float, float]]:
    false, true = samples.roc()
    kept = np.unique(np.linspace(0, len(false) - 1, min(most, len(false))).round().astype(int))
    return [(round(float(false[i]), 5), round(float(true[i]), 5)) for i in kept]


def _plain(interval: Interval) -> dict[str, float] | None:
    if np.isnan(interval.value):
        return None
    figures = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: round(figure, 5) for name, figure in figures.items() if not np.isnan(figure)}
