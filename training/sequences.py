"""Which sequences of slices a training step sees. A draw depends on the seed, the step and the group, on nothing else.

So a run that was killed goes on as if it had not been, and processes that share a step draw what one would have drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from ichnode.inference.preprocess import AIR_HU, with_neighbours

from .bleeds import Bled, add_bleed
from .grid import GridScan
from .heads import Head
from .recipe import Recipe
from .turns import Turns, around


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sequence, still in Hounsfield units.

    Attributes
    ----------
    hu, blood : tensors of shape (m, H, W)
        The slices and the neighbours that their channels need; `blood` is 1 where haemorrhage is outlined.
    rows : tensor of shape (slices, 1 + 2 neighbours)
        Which of `hu` make up the channels of each slice; the middle column is the slice itself.
    labels : tensor of shape (slices, 6)
    scan_labels : tensor of shape (6,)
        NaN where unknown, both.
    sources : frozenset of str
        Patients whose pictures are in it: the head's, and the donor's of an added bleed.
    seed : int
        Start of what varies it.
    """

    hu: Tensor
    blood: Tensor
    rows: Tensor
    labels: Tensor
    scan_labels: Tensor
    sources: frozenset[str]
    seed: int


class Drawing:
    """Draws the sequences of a run.

    Raises
    ------
    ValueError
        Nothing to draw from, or a mixture without scans with and without haemorrhage.
    """

    def __init__(self, heads: Sequence[GridScan], recipe: Recipe, seed: int, phantoms: Sequence[GridScan] = ()) -> None:
        self._phantoms = list(phantoms)
        self._heads, self._how, self._sampling, self._seed = list(heads), recipe.preprocessing, recipe.sampling, seed
        self._bleeding = [head for head in heads if head.positive]
        self._clean = [head for head in heads if not head.positive]
        self._donors = [head for head in self._bleeding if isinstance(head, Head) and head.lesion[:].any()]
        self._turns = Turns(heads, recipe, seed)
        if self._sampling.phantoms and not self._phantoms:
            raise ValueError("The recipe asks for phantoms, and there are none.")
        if self._sampling.kind == "mixture" and not (self._bleeding and self._clean):
            raise ValueError("Training on a mixture needs scans with and without haemorrhage.")

    def group(self, step: int, group: int) -> list[Drawn]:
        """Draw the sequences of one group of a step."""
        rng = np.random.default_rng((self._seed, step, group))
        if self._sampling.kind == "mixture":
            return [self._mixed(rng) for _ in range(self._sampling.sequences)]
        turns = self._turns.group(step, group, rng)
        return [self._drawn(head, around(len(head.hu), self._sampling.length, rng), rng) for head in turns]

    def _mixed(self, rng: Generator) -> Drawn:
        kind = rng.random()
        if kind < self._sampling.real:
            head = _one_of(self._bleeding, rng)
            bleeding = np.flatnonzero(head.labels[:, 0] > 0)
            around = int(rng.choice(bleeding)) if len(bleeding) else int(rng.integers(len(head.hu)))
            return self._drawn(head, _span(head, around, self._sampling.length, rng), rng)
        added = kind < self._sampling.real + self._sampling.added
        if kind >= 1 - self._sampling.phantoms:
            return self._phantom(_one_of(self._phantoms, rng), rng)
        head = _one_of(self._clean if added else self._heads, rng)
        span = _span(head, int(rng.integers(len(head.hu))), self._sampling.length, rng)
        return self._drawn(head, span, rng, added)

    def _phantom(self, head: GridScan, rng: Generator) -> Drawn:
        bleeding = np.flatnonzero(head.labels[:, 0] > 0)
        looked_for = len(bleeding) > 0 and rng.random() < 0.5
        around = int(rng.choice(bleeding)) if looked_for else int(rng.integers(len(head.hu)))
        return self._drawn(head, _span(head, around, self._sampling.length, rng), rng)

    def _drawn(self, head: GridScan, span: slice, rng: Generator, added: bool = False) -> Drawn:
        count, more = len(head.hu), self._how.neighbours
        wide = slice(max(0, span.start - more), min(count, span.stop + more))
        bled = add_bleed(head, wide, self._donors, rng) if added and isinstance(head, Head) else None
        if bled is None:
            hu = np.array(head.hu[wide], np.float32)
            lesion = np.zeros(hu.shape, np.bool_) if head.lesion is None else head.lesion[wide]
            bled = Bled(hu, lesion, head.labels[wide])
        rows = with_neighbours(range(span.start, span.stop), count, self._how) - wide.start
        labels = torch.from_numpy(np.array(bled.labels, np.float32))[rows[:, more]]
        whole = span.stop - span.start == count
        known = torch.from_numpy(np.array(head.scan_labels, np.float32)) if whole else torch.full((6,), torch.nan)
        return Drawn(
            torch.from_numpy(np.array(bled.hu, np.float32)).clamp_(min=AIR_HU),
            torch.from_numpy(np.array(bled.blood, np.float32)),
            rows, labels, torch.maximum(known, labels.amax(0)) if whole and added else known,
            frozenset((head.patient, bled.donor or head.patient)), int(rng.integers(2**62)),
        )  # fmt: skip


def _one_of(heads: Sequence[GridScan], rng: Generator) -> GridScan:
    return heads[int(rng.integers(len(heads)))]


def _span(head: GridScan, around: int, length: int, rng: Generator) -> slice:
    """Return up to `length` adjacent slices, `around` among them, at the ends as often as in the middle."""
    count = len(head.hu)
    length = min(length, count)
    first = max(0, min(around - int(rng.integers(length)), count - length))
    return slice(first, first + length)
