"""Which scans a training step sees, and which stretch of them: the same for pictures and for cached features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.random import Generator

from .recipe import Recipe


class Positive(Protocol):
    """A scan that is known to bear a haemorrhage, or not."""

    @property
    def positive(self) -> bool:
        """Whether it bears one."""


Kind = TypeVar("Kind", bound=Positive)


class Turns(Generic[Kind]):
    """Tells whose turn it is; it depends on the seed, the step and the group, on nothing else.

    Raises
    ------
    ValueError
        There are no scans.
    """

    def __init__(self, scans: Sequence[Kind], recipe: Recipe, seed: int) -> None:
        self._scans, self._sampling, self._seed = list(scans), recipe.sampling, seed
        if not self._scans:
            raise ValueError("There are no scans to train on.")
        kinds = [[scan for scan in scans if scan.positive is kind] for kind in (True, False)]
        self._kinds = [kind for kind in kinds if kind]

    def group(self, step: int, group: int, rng: Generator) -> list[Kind]:
        """Return the scans of one group of a step."""
        first = step * self._sampling.a_step + group * self._sampling.sequences
        places = range(first, first + self._sampling.sequences)
        if self._sampling.kind == "balanced":
            kinds = [self._kinds[place % len(self._kinds)] for place in places]
            return [kind[int(rng.integers(len(kind)))] for kind in kinds]
        return [self._turn(place) for place in places]

    def _turn(self, place: int) -> Kind:
        """Return the scan whose turn it is: every scan once an epoch, in another order each time."""
        epoch, turn = divmod(place, len(self._scans))
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._scans))
        return self._scans[order[turn]]


def around(count: int, length: int, rng: Generator) -> slice:
    """Take slices around a random one of `count`, moved back into the scan where they reach beyond it (the paper)."""
    length = min(length, count)
    first = int(np.clip(int(rng.integers(count)) - length // 2, 0, count - length))
    return slice(first, first + length)
