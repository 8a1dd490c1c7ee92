"""Recipes side by side on the same data, and a recipe beside itself with one switch turned off at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichnode.inference.engine import Engine

from .assessment import Judged, levels
from .planes import DataSetError, Planes
from .recipe import Recipe, RecipeError
from .recipe_file import changed
from .scoring import score_scans

SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "one slice, three windows": {"preprocessing.neighbours": 0, "architecture.channels": 3},
    "no LSTM": {"architecture.layers": 0},
    "no neighbour deltas": {"architecture.deltas": False},
    "no slice head": {"architecture.slice_head": False, "losses.slice_head": 0.0},
    "no attention, no scan labels": {"architecture.attention": False, "losses.scan": 0.0},
    "ten adjacent slices": {"sampling.length": 10},
    "the paper's augmentation, whole sequences": {"augmentation.kind": "paper"},
    "augmentation for each slice": {"augmentation.per_slice": True},
    "one slice, three windows, augmentation for each slice": {
        "preprocessing.neighbours": 0,
        "architecture.channels": 3,
        "augmentation.per_slice": True,
    },
    "no augmentation": {"augmentation.kind": "none"},
    "CutMix of slices": {"augmentation.cutmix": "slices"},
    "no CutMix": {"augmentation.cutmix": "off"},
    "no running average": {"optimisation.averaging": 0.0},
    "no temperatures": {"calibrated": False},
    "no mirrored reading": {"preprocessing.mirrored": False},
    "no outlines": {"losses.outline": 0.0},
    "no phantoms": {"sampling.phantoms": 0.0, "sampling.phantom_heads": 0},
}
"""What an ablation changes, one at a time; what a recipe does not do anyway is left out.

Slices that are varied each on its own cannot lend each other their channels: with neighbours, that switch is held
against the recipe without them.
"""

_WHERE: Mapping[str, Callable[[Recipe], bool]] = {
    "ten adjacent slices": lambda recipe: recipe.sampling.length > 10,
    "augmentation for each slice": lambda recipe: not recipe.on_features,
    "one slice, three windows, augmentation for each slice": lambda recipe: recipe.preprocessing.neighbours > 0,
    "CutMix of slices": lambda recipe: recipe.augmentation.cutmix == "sequences",
}
"""Where a switch takes something away, and adds nothing that the recipe never had."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network on the test scans; each figure is (value, low, high), None where it cannot be had."""

    name: str
    log_loss: dict[str, float] | None
    slice_auc: dict[str, float] | None
    scan_auc: dict[str, float] | None


def ablations(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipe under "all of it", and for each switch that it uses the recipe without."""
    found = {"all of it": recipe}
    for name, settings in SWITCHES.items():
        if name in _WHERE and not _WHERE[name](recipe):
            continue
        try:
            other = changed(recipe, settings)
        except RecipeError:  # the other settings of this recipe need it
            continue
        if other not in found.values():
            found[name] = other
    return found


def judge_bundle(name: str, bundle: Path, planes: Planes, keep_in: Path, device: str, rounds: int) -> Row:
    """Judge a bundle on the test scans of a data set, as the node would read them.

    Raises
    ------
    DataSetError
        There are no test scans.
    """
    scans = planes.of("test")
    if not scans:
        raise DataSetError(f"{planes.folder} has no test scans to compare on: split it.")
    engine = Engine.load(bundle, device)
    scores = score_scans(engine, scans, keep_in, lambda: None)
    judged = [Judged(scan, one) for scan, one in zip(scans, scores, strict=True)]
    whole, slices = levels(judged, rounds)
    return Row(name, slices.log_loss(), slices.auc(0), whole.auc(0))


def compare(
    recipes: Mapping[str, Recipe], train: Callable[[str, Recipe], Path], planes: Planes, keep_in: Path, device: str,
    rounds: int = 1000,
) -> Iterator[Row]:  # fmt: skip
    """Train every recipe, or take what was trained, and judge all on the same test scans; yield each when done."""
    for name, recipe in recipes.items():
        yield judge_bundle(name, train(name, recipe), planes, keep_in, device, rounds)


def table(rows: Sequence[Row]) -> str:
    """Return the comparison as a Markdown table."""
    lines = [
        "| network | weighted log loss | AUC of any, slices | AUC of any, scans |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        figures = " | ".join(_figure(one, digits) for one, digits in
                             ((row.log_loss, 4), (row.slice_auc, 3), (row.scan_auc, 3)))  # fmt: skip
        lines.append(f"| {row.name} | {figures} |")
    return "\n".join(lines) + "\n"


def _figure(found: dict[str, float] | None, digits: int) -> str:
    if not found:
        return "-"
    if "low" not in found:
        return f"{found['value']:.{digits}f}"
    return f"{found['value']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"
