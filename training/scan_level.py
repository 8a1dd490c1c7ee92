"""From the scores of slices to those of a scan: their maximum, a learned pooling, and a random forest.

The paper takes the maximum. Its network's own learned pooling is class-specific attention
(`ichnode.inference.network.CnnLstm.read_scans`). The method that the paper compares with on CQ500, Chilamkurthy et al.
(The Lancet 2018), puts the slices' confidences through a random forest: here, for every class, its highest scores, its
mean, deviation and quantiles, its longest run of slices over a half, and the same of `any`, so that the number of
slices does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from ichnode.core.findings import CLASSES

_HIGHEST = 5
_QUANTILES = (0.25, 0.5, 0.75, 0.9)


def highest(scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the maximum over the slices of each scan: (scans, 6) from arrays of shape (slices, 6)."""
    return np.stack([one.max(axis=0) for one in scores])


def described(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the forest sees of one scan: `(6, features)` from scores of shape (slices, 6)."""
    columns = []
    for column in scores.T:
        top = np.sort(column)[::-1][:_HIGHEST]
        top = np.pad(top, (0, _HIGHEST - len(top)), constant_values=top[-1])
        spread = [column.mean(), column.std(), *np.quantile(column, _QUANTILES), _longest_run(column > 0.5)]
        columns.append(np.concatenate((top, spread)))
    found = np.asarray(columns, np.float32)
    return np.concatenate((found, np.broadcast_to(found[0], found.shape)), axis=1)


class Forest:
    """A random forest for each class.

    Parameters
    ----------
    scores : sequence of arrays of shape (slices, 6)
        Of scans that the network was not trained on.
    labels : array of shape (scans, 6)
        NaN where unknown.
    trees, seed : int

    A class of which one kind is missing among the known labels has the maximum instead.
    """

    def __init__(
        self, scores: Sequence[NDArray[np.float32]], labels: NDArray[np.float32], trees: int = 300, seed: int = 0
    ) -> None:
        seen = np.stack([described(one) for one in scores])  # (scans, 6, features)
        self._forests: list[RandomForestClassifier | None] = []
        for column in range(len(CLASSES)):
            known = np.isfinite(labels[:, column])
            truth = labels[known, column] > 0.5
            forest = None
            if truth.any() and not truth.all():
                forest = RandomForestClassifier(trees, min_samples_leaf=2, random_state=seed)
                forest.fit(seen[known, column], truth)
            self._forests.append(forest)

    def __call__(self, scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the scores of scans, shape (scans, 6)."""
        seen = np.stack([described(one) for one in scores])
        found = highest(scores)
        for column, forest in enumerate(self._forests):
            if forest is not None:
                found[:, column] = forest.predict_proba(seen[:, column])[:, 1]
        return found


def _longest_run(over: NDArray[np.bool_]) -> float:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], over, [False]))))
    return float((edges[1::2] - edges[::2]).max(initial=0)) / len(over)
