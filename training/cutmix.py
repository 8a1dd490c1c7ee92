"""CutMix (Yun et al., ICCV 2019): a box of every picture comes from another one, and so does that share of its labels.

As the authors of the paper use it: on every batch, one box and one share a batch, partners by a random permutation. A
mixed label stands for both losses: binary cross-entropy is linear in the label.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from .pictures import Batch


def mix(batch: Batch, how: Literal["slices", "sequences", "off"], seed: int) -> Batch:
    """Return the batch, mixed.

    Parameters
    ----------
    batch : Batch
    how : str
        ``"slices"``: partners are any slices of the batch (the paper). ``"sequences"``: those of one other sequence, in
        order; of another length they are taken at the same height. ``"off"``: the batch as it is.
    seed : int
        Of box and partners.
    """
    if how == "off":
        return batch
    rng = np.random.default_rng((seed, 1))
    sequence_of = np.repeat(np.arange(len(batch.lengths)), batch.lengths)
    order = rng.permutation(len(batch.lengths))
    if how == "slices":
        partner = rng.permutation(len(sequence_of))
        scan_labels = torch.full_like(batch.scan_labels, torch.nan)
    else:
        partner = np.concatenate([_alongside(batch.lengths, at, int(other)) for at, other in enumerate(order)])
        scan_labels = batch.scan_labels
    rows, columns = box(batch.seen.shape[-2], batch.seen.shape[-1], rng)
    share = (rows.stop - rows.start) * (columns.stop - columns.start) / math.prod(batch.seen.shape[-2:])
    seen = batch.seen.clone()
    seen[:, :, rows, columns] = batch.seen[partner][:, :, rows, columns]
    blood = batch.blood
    if blood is not None:
        blood = blood.clone()
        blood[:, rows, columns] = batch.blood[partner][:, rows, columns]  # type: ignore[index]
    if how == "sequences":
        scan_labels = (1 - share) * scan_labels + share * scan_labels[order]
    names = [
        frozenset.union(own, *(batch.sources[at] for at in set(sequence_of[partner[sequence_of == place]].tolist())))
        for place, own in enumerate(batch.sources)
    ]
    return replace(
        batch, seen=seen, labels=(1 - share) * batch.labels + share * batch.labels[partner], scan_labels=scan_labels,
        blood=blood, outlined=torch.minimum(batch.outlined, batch.outlined[partner]), sources=tuple(names),
    )  # fmt: skip


def box(high: int, wide: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw a box whose share of the picture is uniform between 0 and 1, cut off where it reaches beyond it."""
    side = math.sqrt(1 - rng.uniform())
    spans = []
    for extent in (high, wide):
        middle, half = int(rng.integers(extent)), int(extent * side) // 2
        spans.append(slice(max(0, middle - half), min(extent, middle + half)))
    return spans[0], spans[1]


def _alongside(lengths: tuple[int, ...], at: int, other: int) -> np.ndarray:
    """Return for the slices of sequence `at` the rows of sequence `other` at the same height."""
    place = np.linspace(0, lengths[other] - 1, lengths[at])
    return sum(lengths[:other]) + np.rint(place).astype(np.intp)
