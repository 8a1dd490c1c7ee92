"""What a model's scores are worth on a data set: every figure with an interval from a bootstrap over patients.

Slice level, where every bleeding scan has a slice that is labelled so: else only the slices of negative scans would
count. Scan level by the highest slice (the paper). Subgroups: `ichnode_training.subgroups`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES

from .level import Level
from .planes import Scan
from .subgroups import subgroups


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
    scans, slices = levels(judged, rounds, seed)
    return {
        "patients": len({j.scan.patient for j in judged}),
        "scans": len(judged),
        "slices": int(sum(len(j.scores) for j in judged)),
        "rounds": rounds,
        "thresholds": {name: float(thresholds[name]) for name in CLASSES},
        "log_loss": slices.log_loss(),
        "slice": slices.classes(thresholds),
        "scan": scans.classes(thresholds),
        "subgroups": list(subgroups(judged, scans, slices, thresholds)),
    }


def levels(judged: Sequence[Judged], rounds: int, seed: int = 0) -> tuple[Level, Level]:
    """Return scans and slices, for figures one by one; parameters as of `assess`."""
    return (
        Level([j.scan.patient for j in judged], *_scan_rows(judged), rounds, seed),
        Level([j.scan.patient for j in judged for _ in j.scores], *_slice_rows(judged), rounds, seed),
    )


def _scan_rows(judged: Sequence[Judged]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.stack([j.scan.scan_labels for j in judged]), np.stack([j.scan_scores for j in judged])


def _slice_rows(judged: Sequence[Judged]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    labels = np.concatenate([j.scan.labels for j in judged])
    if any(j.scan.scan_labels[0] == 1 and not (j.scan.labels[:, 0] == 1).any() for j in judged):
        labels = np.full_like(labels, np.nan)
    return labels, np.concatenate([j.scores for j in judged])
