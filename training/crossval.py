"""Cross-validation by patient: every scan is scored by a network that has seen no slice of that patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichnode.inference.network import CnnLstm

from .features import Features
from .grid import GridScan
from .judging import score
from .loop import Setting, train
from .recipe import Recipe
from .source import source_of


def folds(heads: Sequence[GridScan | Features], count: int, seed: int) -> list[frozenset[str]]:
    """Split the patients into `count` folds with the same mix of bleeds in each.

    Patients are ordered by what they bear (their set of classes, rarest sets first) and dealt out in turn, so that two
    patients with the same rare bleed do not end up in one fold.
    """
    bears: dict[str, NDArray[np.bool_]] = {}
    for head in heads:
        borne = (head.labels > 0).any(axis=0) | (head.scan_labels > 0)
        bears[head.patient] = bears.get(head.patient, np.zeros_like(borne)) | borne
    names = list(bears)
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    kinds = [tuple(bears[name]) for name in shuffled]
    ranked = sorted(range(len(names)), key=lambda i: (kinds.count(kinds[i]), kinds[i]))
    return [frozenset(shuffled[index] for index in ranked[place::count]) for place in range(count)]


def cross_validate(
    heads: Sequence[GridScan], recipe: Recipe, count: int, seed: int, cache: Path, setting: Setting,
    tell: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> tuple[dict[str, NDArray[np.float32]], CnnLstm]:  # fmt: skip
    """Train the networks of `count` folds and one on all patients, in step.

    Parameters
    ----------
    heads : sequence of GridScan
    recipe : Recipe
    count : int
        Folds.
    seed : int
    cache : Path
        Folder for what is made once (`ichnode_training.source`).
    setting : Setting
        Of the run; with a state, a run that was stopped goes on.
    tell : callable
        Told of what is made before the run: what, how many there are, and of how many.

    Returns
    -------
    (scores, network)
        For every patient the scores of the one network that has not seen them; and the network that has seen all.
    """
    parts = folds(heads, count, seed)
    source, steps = source_of(heads, recipe, seed, cache, tell=tell), recipe.steps(len(heads))
    learners = train(source, recipe, steps, seed, [*parts, frozenset()], setting=setting)
    *judged, network = (learner.result() for learner in learners)
    scores = {
        head.patient: score(judge.to(setting.processes.device), head, recipe.preprocessing)
        for judge, part in zip(judged, parts, strict=True)
        for head in heads
        if head.patient in part
    }
    return scores, network
