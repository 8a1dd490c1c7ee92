"""``train --recipe R --data FOLDER --out BUNDLE``: train by a recipe; killed or stopped, the same command goes on.

Under torchrun the processes share the work: ``torchrun --nproc-per-node 2 -m ichnode_training train ...``.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import torch

from ichnode.inference.memory import keep_memory

from ..initial import started
from ..loop import Setting
from ..material import Material
from ..planes import open_planes
from ..processes import processes
from ..recipe import RecipeError
from ..recipe_file import changed, names, read_recipe
from ..run import run as run_recipe
from ..start import StartError, first_state
from ..telling import Progress, say


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("--recipe", required=True, help=f"a TOML file, or one of {', '.join(names())}")
    command.add_argument("--data", type=Path, required=True, help="data set of planes, split")
    command.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    add_switches(command)
    command.add_argument("--init", type=Path, help="first weights: a bundle, timm weights, or the authors' checkpoint")


def add_switches(command: argparse.ArgumentParser) -> None:
    """Say what all commands take that train."""
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe, such as sampling.length=8")  # fmt: skip # noqa: E501
    command.add_argument("--run", dest="folder", type=Path, help="folder of checkpoints and logs; default: OUT.run")
    command.add_argument("--cache", type=Path, help="folder of what is computed once; default: in the data set")
    command.add_argument("--checkpoint-every", type=float, default=120.0, metavar="SECONDS", help="least time between")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    command.add_argument("--compile", action="store_true", help="compile the CNN: slower to start, faster after")
    command.add_argument("--part", type=int, default=0, help="sequences at a time, where memory is short")
    command.add_argument("--threads", type=int, default=0, help="CPU threads; default: torch's choice")


def settings_of(given: argparse.Namespace) -> dict[str, object]:
    """Read the ``--set`` options."""
    values = {}
    for text in given.set:
        key, _, value = text.partition("=")
        try:
            values[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = value
        if not value:
            raise RecipeError(f"--set {text}: write KEY=VALUE.")
    return values


def make_room(out: Path, folder: Path) -> None:
    """Make the folder of a run, and see that the bundle can be written when the run is over.

    Raises
    ------
    StartError
    """
    if out.exists() and not out.is_dir():
        raise StartError(f"{out} is a file: --out is the folder of the bundle.")
    for path in (out.parent, folder):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"The folder {path} cannot be made: {error.strerror}. Take another --out.") from error


def run(given: argparse.Namespace) -> int:
    """Train, judge, write the bundle."""
    if given.threads:
        torch.set_num_threads(given.threads)
    keep_memory()
    recipe = changed(read_recipe(given.recipe), settings_of(given))
    planes = open_planes(given.data)
    folder = given.folder or given.out.with_name(f"{given.out.name}.run")
    make_room(given.out, folder)
    recipe, start, bundle = started(given.init, recipe)
    if start is None:
        first_state(recipe)  # refused here, not after the scans are on their grid
    cache = given.cache or given.data / "cache"
    with processes(given.device) as here, Progress(folder, shown=here.first) as progress:
        material = Material.of(planes, recipe, cache, progress.preparing, bundle, str(here.device))
        if here.first and not material.kept:
            say(f"No labelled scan is in the part validation of {given.data}: the last weights are taken, whatever "
                "they are, and every threshold is 0.5. Import with another --split to have some.")  # fmt: skip
        setting = Setting(here, given.compile, given.part, tell=progress.step)
        made = run_recipe(
            recipe, planes, material, folder, given.seed, setting, given.out, progress.judged, start,
            given.checkpoint_every, bundle,
        )  # fmt: skip
    if made:
        say(f"{made.folder}: {made.digest}")
        for name, value in made.card["metrics"].items():
            say(f"{name}: {value}")
        say(f"Next: ichnode evaluate --bundle {given.out} --into REPORT DATA, or ichnode model import {given.out}")
    return 0
