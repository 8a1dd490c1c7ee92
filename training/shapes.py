"""How many slices go through the CNN at a time: few different numbers, since a GPU prepares itself for each.

cuDNN takes 8 to 10 s for every new shape of a batch of EfficientNet-Lite in bf16 (H100, PyTorch 2.11), and
torch.compile compiles anew. Whole scans differ in length, folds leave out now two sequences and now three. So a batch
that is smaller is filled up with slices of its own: what they give is thrown away, no label is theirs, and only the
statistics of normalisation, where they are learned, see them twice. Foreign pictures, or blank ones, would be in those
statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .pictures import Batch

STEPS = 8
"""Sizes, at most, where sequences are of different length: filling up to the longest possible would waste half."""


def slices_seen(batch: Batch, piece: Batch, part: int, length: int) -> int:
    """Return how many slices the CNN sees of a piece.

    Parameters
    ----------
    batch : Batch
        The group as it was drawn.
    piece : Batch
        What of it goes through the network at a time.
    part, length : int
        Sequences of a piece, and slices of a sequence, at most. Where every sequence of the group has that length,
        their product is the one size there is; else one of `STEPS` steps up to it.
    """
    most = part * length
    if all(count == length for count in batch.lengths):
        return most
    step = max(1, -(-most // STEPS))
    return min(most, -(-len(piece.seen) // step) * step)


def repeated(seen: Tensor, size: int) -> Tensor:
    """Return pictures of shape (slices, channels, H, W), filled up to `size` by the first of them again, and again."""
    if seen.ndim == 2 or size <= len(seen):
        return seen
    return seen[torch.arange(size, device=seen.device) % len(seen)]
