"""``pointing``: measure whether heat maps point at the lesion."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ichnode.errors import ConfigError
from ichnode.inference.bundle import default_bundle_path
from ichnode.inference.engine import Engine
from ichnode.inference.memory import keep_memory

from ..planes import open_planes
from ..pointing import on_held_out, on_phantoms, on_scans, table
from ..recipe_file import read_recipe
from ..telling import say, teller
from .first import FOLDS, SEED


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("--bundle", type=Path, default=default_bundle_path(), help="the bundle; default: the shipped")
    command.add_argument("--phantoms", type=int, default=100, help="phantoms with one lesion each")
    command.add_argument("--first-seed", type=int, default=20_000, help="seed of the first phantom")
    command.add_argument(
        "--ct-ich", type=Path, help="also on CT-ICH, imported to this folder; the shipped bundle has seen it"
    )
    command.add_argument("--held-out", type=int, nargs="*", default=[], choices=range(FOLDS), metavar="FOLD",
                         help="instead train networks without these folds of CT-ICH, and play on them")  # fmt: skip
    command.add_argument("--work", type=Path, default=Path("build"), help="folder for phantoms")
    command.add_argument("--threads", type=int, default=2, help="CPU threads")


def run(given: argparse.Namespace) -> int:
    """Play, and print the table."""
    if given.held_out and given.ct_ich is None:
        raise ConfigError("--held-out needs --ct-ich, the folder of the data set.")
    torch.set_num_threads(given.threads)
    keep_memory()

    def told(done: int) -> None:
        if done % 10 == 0:
            say(f"{done} done")

    engine = Engine.load(given.bundle, "cpu")
    played = on_phantoms(engine, range(given.first_seed, given.first_seed + given.phantoms), told)
    if given.held_out:
        recipe = read_recipe("shipped")
        data, tell = open_planes(given.ct_ich), teller()
        played += on_held_out(engine.bundle, data, recipe, FOLDS, given.held_out, SEED, given.work, tell)
    elif given.ct_ich:
        played += on_scans(engine, open_planes(given.ct_ich), told)
    say(table(played))
    return 0
