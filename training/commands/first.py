"""``first DATA --into BUNDLE``: train the first bundle on CT-ICH and cross-validate it by patient in the same run."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ichnode.core.identity import digest_of
from ichnode.inference.memory import keep_memory

from ..crossval import cross_validate
from ..heads import head_from
from ..loop import Setting
from ..planes import open_planes
from ..processes import processes
from ..publish import card_for, provenance, publish
from ..recipe_file import changed, read_recipe
from ..run import run_id
from ..run_state import RunState
from ..telling import made, say, teller
from .train import settings_of

FOLDS = 4
SEED = 0
VERSION = "2.0.0"


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("data", type=Path, help="CT-ICH, imported")
    command.add_argument("--into", type=Path, required=True, help="folder of the bundle")
    command.add_argument("--scores", type=Path, help="also keep the out-of-fold scores in this .npz file")
    command.add_argument("--work", type=Path, default=Path("build"), help="folder for checkpoint and phantoms")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    command.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:1")
    command.add_argument("--folds", type=int, default=FOLDS, help="parts that the patients are dealt into")
    command.add_argument("--threads", type=int, default=2, help="CPU threads")


def run(given: argparse.Namespace) -> int:
    """Train, judge, write bundle and card."""
    torch.set_num_threads(given.threads)
    keep_memory()
    recipe = changed(read_recipe("shipped"), settings_of(given))
    planes = open_planes(given.data)
    with ThreadPoolExecutor(given.threads) as pool:
        heads = list(pool.map(lambda scan: head_from(scan, recipe.preprocessing), planes))
    named = digest_of(run_id(recipe, planes, SEED, None).encode(), str(given.folds).encode())
    kept = given.work / "first" / f"{named[:16]}.pt"
    state = RunState(kept, named, every_s=300)
    with processes(given.device) as here:
        setting = Setting(here, tell=teller(), state=state)
        scores, network = cross_validate(heads, recipe, given.folds, SEED, given.work, setting, made())
    if given.scores:
        np.savez(given.scores, **scores)  # type: ignore[arg-type]
    labels = {head.patient: head.labels for head in heads}
    came_about = provenance(planes, f"{given.folds} folds by patient, seed {SEED}; the bundle's network has seen all")
    on = torch.cuda.get_device_name(here.device) if here.device.type == "cuda" else "a CPU"
    computed_on = f"{on}, PyTorch {torch.__version__}"
    card = card_for(recipe, VERSION, scores, labels, given.folds, came_about, computed_on)
    bundle = publish(given.into, network, card)
    kept.unlink()  # the same command begins anew: it was to train, not to remember
    say(f"{bundle.folder}: {bundle.digest}")
    for name, row in bundle.card["metrics"]["classes"].items():
        say(f"{name}: {row}")
    return 0
