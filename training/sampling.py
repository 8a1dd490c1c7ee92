"""Which sequences a training step sees: real bleeds, heads with a bleed added, and heads as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from .augment import augment
from .bleeds import Bled, add_bleed
from .heads import Head


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of the sequences of a step; what is left are sequences drawn from any head as it is.

    Attributes
    ----------
    real : float
        Around a slice that bleeds, each bleeding patient as often as another.
    added : float
        Of a patient without haemorrhage, with a bleed added.
    length : int
        Adjacent slices per sequence.
    """

    real: float = 0.4
    added: float = 0.35
    length: int = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of one step, one after the other.

    Attributes
    ----------
    hu, blood : tensors of shape (slices, H, W)
    labels : tensor of shape (slices, 6)
    outlined : tensor of shape (slices,)
        1 where `blood` may be trusted: not where a slice bleeds but nobody drew the outline.
    lengths : tuple of int
    sources : tuple of frozenset of str
        For every sequence the patients whose pictures are in it: the head's, and the donor's of an added bleed.
    """

    hu: Tensor
    blood: Tensor
    labels: Tensor
    outlined: Tensor
    lengths: tuple[int, ...]
    sources: tuple[frozenset[str], ...]


class Sampler:
    """Draws the batches of a training run, reproducibly from its seed."""

    def __init__(self, heads: Sequence[Head], mixture: Mixture, seed: int) -> None:
        self._heads = list(heads)
        self._bleeding = [head for head in heads if head.positive]
        self._clean = [head for head in heads if not head.positive]
        self._donors = [head for head in self._bleeding if head.lesion.any()]
        if not self._bleeding or not self._clean:
            raise ValueError("Training needs scans with and without haemorrhage.")
        self._mixture = mixture
        self._rng = np.random.default_rng(seed)
        self._torch_rng = torch.Generator().manual_seed(seed)

    def batch(self, sequences: int) -> Batch:
        """Draw the sequences of one step."""
        drawn, sources = zip(*(self._sequence() for _ in range(sequences)), strict=True)
        hu, blood, labels = (torch.cat([parts[i] for parts in drawn]) for i in range(3))
        outlined = ((labels[:, 0] == 0) | (blood.flatten(1).amax(1) > 0)).float()
        return Batch(hu, blood, labels, outlined, tuple(len(parts[0]) for parts in drawn), tuple(sources))

    def _sequence(self) -> tuple[tuple[Tensor, Tensor, Tensor], frozenset[str]]:
        rng, kind = self._rng, self._rng.random()
        if kind < self._mixture.real:
            head = _one_of(self._bleeding, rng)
            span = _span(head, int(rng.choice(np.flatnonzero(head.labels[:, 0]))), self._mixture.length, rng)
        else:
            added = kind < self._mixture.real + self._mixture.added
            head = _one_of(self._clean if added else self._heads, rng)
            span = _span(head, int(rng.integers(len(head.hu))), self._mixture.length, rng)
            new = add_bleed(head, span, self._donors, rng) if added else None
            if new is not None:
                return self._varied(new), frozenset((head.patient, new.donor or head.patient))
        drawn = Bled(head.hu[span], head.lesion[span], head.labels[span])
        return self._varied(drawn), frozenset((head.patient,))

    def _varied(self, drawn: Bled) -> tuple[Tensor, Tensor, Tensor]:
        hu = torch.from_numpy(np.ascontiguousarray(drawn.hu, np.float32))
        moved, blood = augment(hu, torch.from_numpy(drawn.blood.astype(np.float32)), self._torch_rng)
        return moved, blood, torch.from_numpy(np.array(drawn.labels, np.float32))


def _one_of(heads: Sequence[Head], rng: Generator) -> Head:
    return heads[int(rng.integers(len(heads)))]


def _span(head: Head, around: int, length: int, rng: Generator) -> slice:
    """Return up to `length` adjacent slices, `around` among them, at the ends as often as in the middle."""
    count = len(head.hu)
    length = min(length, count)
    first = around - int(rng.integers(length))
    first = max(0, min(first, count - length))
    return slice(first, first + length)
