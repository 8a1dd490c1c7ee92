"""The source that a recipe asks for: pictures of the scans, and of phantoms where it wants some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .grid import GridScan
from .phantom_heads import phantom_heads
from .pictures import Pictures
from .recipe import Recipe


def source_of(
    heads: Sequence[GridScan], recipe: Recipe, seed: int, cache: Path,
    tell: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Pictures:  # fmt: skip
    """Return where a run takes its groups from.

    Parameters
    ----------
    heads : sequence of GridScan
    recipe : Recipe
    seed : int
    cache : Path
        Folder in which phantoms are kept.
    tell : callable
        Told of what is being made, how many there are, and of how many.
    """
    count = recipe.sampling.phantom_heads if recipe.sampling.phantoms else 0
    phantoms = phantom_heads(count, recipe.preprocessing, cache, lambda done, of: tell("phantoms", done, of))
    return Pictures(heads, recipe, seed, phantoms)
