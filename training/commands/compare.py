"""``compare``: the paper's networks, the 2-D baseline and the shipped backbone on the same data, in one table.

With ``--ablate RECIPE`` instead: a recipe, and the recipe with one switch turned off at a time. Each row of the table
is written as soon as it is there. What was trained is kept below ``--out``; stopped, the same command goes on. A bundle
of another recipe, data or seed is refused, not shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ichnode.inference.bundle import load_bundle
from ichnode.inference.memory import keep_memory

from ..comparison import Row, ablations, compare, table
from ..initial import initial_state
from ..loop import Setting
from ..material import Material
from ..planes import DataSetError, open_planes
from ..processes import processes
from ..recipe import Recipe
from ..recipe_file import changed, read_recipe
from ..run import run as run_recipe
from ..run import run_id
from ..start import first_state
from ..telling import Progress, say
from .train import add_switches, settings_of

FOUR = ("paper-resnet50", "paper-seresnext50", "baseline-2d", "shipped")


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("--data", type=Path, required=True, help="data set of planes, split")
    command.add_argument("--out", type=Path, required=True, help="folder of the bundles, runs and the table")
    command.add_argument("--recipes", nargs="+", default=list(FOUR), help="by name or file")
    command.add_argument("--ablate", metavar="RECIPE", help="a recipe, and it without each of its switches")
    command.add_argument("--init", nargs="*", default=[], metavar="BACKBONE=FILE", help="ImageNet weights of backbones")
    command.add_argument("--rounds", type=int, default=1000, help="resamplings of the patients")
    add_switches(command)


def first_weights(file: Path | None, recipe: Recipe) -> None:
    """Refuse a recipe whose first weights are not at hand, or do not fit.

    Raises
    ------
    StartError
    """
    if file is None:
        first_state(recipe)
    else:
        initial_state(file, recipe)


def run(given: argparse.Namespace) -> int:
    """Train, judge on the test scans, print the table."""
    if given.threads:
        torch.set_num_threads(given.threads)
    keep_memory()
    settings = settings_of(given)
    named = [given.ablate] if given.ablate else given.recipes
    recipes = {read_recipe(name).name: changed(read_recipe(name), settings) for name in named}
    if given.ablate:
        recipes = ablations(next(iter(recipes.values())))
    weights = {name: Path(file) for name, _, file in (text.partition("=") for text in given.init)}
    for recipe in recipes.values():  # before the first of them has taken days
        first_weights(weights.get(recipe.architecture.backbone), recipe)
    planes = open_planes(given.data)
    with processes(given.device) as here:

        def train(name: str, recipe: Recipe) -> Path:
            out = given.out / name.replace(" ", "-").replace(",", "").replace("'", "")
            file = weights.get(recipe.architecture.backbone)
            start = initial_state(file, recipe) if file else None
            if (out / "card.json").exists():
                made = load_bundle(out).card.get("provenance", {}).get("run")
                if made != run_id(recipe, planes, given.seed, start):
                    raise DataSetError(
                        f"{out} was trained by other settings, on other data or from other weights: "
                        "remove it with its .run, or take another --out."
                    )
                return Path(out)
            folder = out.with_name(f"{out.name}.run")
            say(f"{name}:")
            with Progress(folder, here.first) as progress:
                material = Material.of(planes, recipe, given.cache or given.data / "cache", progress.preparing)
                setting = Setting(here, given.compile, given.part, tell=progress.step)
                run_recipe(
                    recipe,
                    planes,
                    material,
                    folder,
                    given.seed,
                    setting,
                    out,
                    progress.judged,
                    start,
                    given.checkpoint_every,
                )
            here.wait()  # the first process writes the bundle that all judge
            return Path(out)

        rows, device = list[Row](), str(here.device)
        for row in compare(recipes, train, planes, given.out / "scores", device, given.rounds):
            rows.append(row)
            if here.first:  # each row as soon as it is there: the next one may take days
                (given.out / "table.md").write_text(table(rows), encoding="utf-8")
                say(table(rows).splitlines()[-1])
    if here.first:
        say(table(rows))
    return 0
