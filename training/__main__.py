"""The lab's commands.

``python -m ichnode_training import ct-ich FOLDER --into DATA`` makes a data set of planes (`ichnode_training.planes`);
``python -m ichnode_training first DATA --into BUNDLE`` trains the first bundle on it and cross-validates it by
patient in the same run; ``python -m ichnode_training card BUNDLE --into FILE`` writes its card for people;
``python -m ichnode_training pointing`` measures whether heat maps point at the lesion. On a machine that others use,
too, set ``OMP_WAIT_POLICY=passive``: threads that spin while they wait cost a factor of seven.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ichnode.errors import IchnodeError
from ichnode.inference.bundle import default_bundle_path, load_bundle
from ichnode.inference.card import as_markdown
from ichnode.inference.engine import Engine
from ichnode.inference.memory import keep_memory

from .crossval import cross_validate
from .heads import head_from
from .import_command import add_import
from .planes import open_planes
from .pointing import on_held_out, on_phantoms, on_scans, table
from .publish import card_for, publish
from .recipe import Recipe

FOLDS = 4
SEED = 0
VERSION = "1.0.0"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m ichnode_training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("first", help="train and cross-validate, write the bundle")
    command.add_argument("data", type=Path, help="CT-ICH, imported")
    command.add_argument("--into", type=Path, required=True, help="folder of the bundle")
    command.add_argument("--scores", type=Path, help="also keep the out-of-fold scores in this .npz file")
    command.add_argument("--steps", type=int, default=Recipe().steps, help="optimiser steps")
    command.add_argument("--threads", type=int, default=2, help="CPU threads")
    command = commands.add_parser("card", help="write a bundle's card as Markdown")
    command.add_argument("bundle", type=Path)
    command.add_argument("--into", type=Path, required=True, help="the Markdown file")
    command = commands.add_parser("pointing", help="measure whether heat maps point at the lesion")
    command.add_argument("--bundle", type=Path, default=default_bundle_path(), help="the bundle; default: the shipped")
    command.add_argument("--phantoms", type=int, default=100, help="phantoms with one lesion each")
    command.add_argument("--first-seed", type=int, default=20_000, help="seed of the first phantom")
    command.add_argument(
        "--ct-ich", type=Path, help="also on CT-ICH, imported to this folder; the shipped bundle has seen it"
    )
    command.add_argument("--held-out", type=int, nargs="*", default=[], choices=range(FOLDS), metavar="FOLD",
                         help="instead train networks without these folds of CT-ICH, and play on them")  # fmt: skip
    command.add_argument("--threads", type=int, default=2, help="CPU threads")
    add_import(commands)
    given = parser.parse_args(argv)
    try:
        return _run(parser, given)
    except IchnodeError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. The same command goes on from here.\n")
        return 1


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    if given.command == "import":
        return int(given.run(given))
    if given.command == "card":
        given.into.write_text(as_markdown(load_bundle(given.bundle).card), encoding="utf-8")
        return 0
    torch.set_num_threads(given.threads)
    keep_memory()
    if given.command == "pointing":
        if given.held_out and given.ct_ich is None:
            parser.error("--held-out needs --ct-ich, the folder of the data set")
        return _pointing(given)
    recipe = replace(Recipe(), steps=given.steps)
    heads = [head_from(scan, recipe.preprocessing) for scan in open_planes(given.data)]
    scores, network = cross_validate(heads, recipe, FOLDS, SEED, _teller(recipe.steps))
    if given.scores:
        np.savez(given.scores, **scores)  # type: ignore[arg-type]
    labels = {head.patient: head.labels for head in heads}
    bundle = publish(given.into, network, card_for(recipe, VERSION, scores, labels, FOLDS))
    _say(f"{bundle.folder}: {bundle.digest}")
    for name, row in bundle.card["metrics"]["classes"].items():
        _say(f"{name}: {row}")
    return 0


def _pointing(given: argparse.Namespace) -> int:
    def told(done: int) -> None:
        if done % 10 == 0:
            _say(f"{done} done")

    engine = Engine.load(given.bundle, "cpu")
    played = on_phantoms(engine, range(given.first_seed, given.first_seed + given.phantoms), told)
    if given.held_out:
        recipe = Recipe()
        tell = _teller(recipe.steps)
        played += on_held_out(engine.bundle, open_planes(given.ct_ich), recipe, FOLDS, given.held_out, SEED, tell)
    elif given.ct_ich:
        played += on_scans(engine, open_planes(given.ct_ich), told)
    _say(table(played))
    return 0


def _teller(steps: int) -> Callable[[int, float], None]:
    began = time.monotonic()
    recent: list[float] = []

    def tell(step: int, loss: float) -> None:
        recent.append(loss)
        if len(recent) == 20:
            _say(f"step {step + 1} of {steps}, loss {np.mean(recent):.3f}, {time.monotonic() - began:.0f} s")
            recent.clear()

    return tell


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
