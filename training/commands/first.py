"""``first DATA --into BUNDLE``: train the first bundle on CT-ICH and cross-validate it by patient in the same run."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from ichnode.inference.memory import keep_memory

from ..crossval import cross_validate
from ..heads import head_from
from ..planes import open_planes
from ..publish import card_for, publish
from ..recipe_file import changed, read_recipe
from ..telling import say, teller

FOLDS = 4
SEED = 0
VERSION = "1.0.0"


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("data", type=Path, help="CT-ICH, imported")
    command.add_argument("--into", type=Path, required=True, help="folder of the bundle")
    command.add_argument("--scores", type=Path, help="also keep the out-of-fold scores in this .npz file")
    command.add_argument("--steps", type=int, help="optimiser steps instead of the recipe's")
    command.add_argument("--threads", type=int, default=2, help="CPU threads")


def run(given: argparse.Namespace) -> int:
    """Train, judge, write bundle and card."""
    torch.set_num_threads(given.threads)
    keep_memory()
    recipe = read_recipe("shipped")
    if given.steps:
        recipe = changed(recipe, {"optimisation.steps": given.steps})
    heads = [head_from(scan, recipe.preprocessing) for scan in open_planes(given.data)]
    scores, network = cross_validate(heads, recipe, FOLDS, SEED, teller())
    if given.scores:
        np.savez(given.scores, **scores)  # type: ignore[arg-type]
    labels = {head.patient: head.labels for head in heads}
    bundle = publish(given.into, network, card_for(recipe, VERSION, scores, labels, FOLDS))
    say(f"{bundle.folder}: {bundle.digest}")
    for name, row in bundle.card["metrics"]["classes"].items():
        say(f"{name}: {row}")
    return 0
