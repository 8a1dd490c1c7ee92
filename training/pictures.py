"""From drawn sequences to what goes through the network: varied and windowed on the device, mixed by CutMix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ichnode.inference.preprocess import channels

from .augment import vary
from .cutmix import mix
from .grid import GridScan
from .recipe import Recipe
from .sequences import Drawing, Drawn


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences that go through the network together, one after the other.

    Attributes
    ----------
    seen : tensor of shape (slices, channels, H, W), or (slices, features) where the CNN's work is done already
    labels : tensor of shape (slices, 6)
        0..1, in between after CutMix; NaN where unknown.
    scan_labels : tensor of shape (sequences, 6)
        NaN where unknown, which it is for all sequences that are not a whole scan.
    lengths : tuple of int
    blood : tensor of shape (slices, H, W) or None
    outlined : tensor of shape (slices,)
        1 where `blood` may be trusted: not where a slice bleeds but nobody drew the outline.
    sources : tuple of frozenset of str
        For every sequence the patients whose pictures are in it.
    """

    seen: Tensor
    labels: Tensor
    scan_labels: Tensor
    lengths: tuple[int, ...]
    blood: Tensor | None
    outlined: Tensor
    sources: tuple[frozenset[str], ...]

    def part(self, wanted: Sequence[int]) -> Batch:
        """Return some of the sequences."""
        if list(wanted) == list(range(len(self.lengths))):
            return self
        ends = torch.tensor(self.lengths).cumsum(0).tolist()
        spans = [torch.arange(ends[at] - self.lengths[at], ends[at]) for at in wanted]
        rows = torch.cat(spans).to(self.seen.device)
        return Batch(
            self.seen[rows], self.labels[rows], self.scan_labels[list(wanted)],
            tuple(self.lengths[at] for at in wanted), None if self.blood is None else self.blood[rows],
            self.outlined[rows], tuple(self.sources[at] for at in wanted),
        )  # fmt: skip


def batch_of(drawn: Sequence[Drawn], recipe: Recipe, device: torch.device) -> Batch:
    """Vary the sequences of a group, window them and mix them, all on the device."""
    pictures, bloods = [], []
    for one in drawn:
        planes = torch.stack((one.hu, one.blood), 1).to(device, non_blocking=True)  # (m, 2, H, W)
        hu, blood, spoil = vary(planes, recipe, one.seed)
        rows = one.rows.to(device)
        pictures.append(spoil(channels(hu[rows], recipe.preprocessing)))
        bloods.append(blood[rows[:, recipe.preprocessing.neighbours]])
    labels = torch.cat([one.labels for one in drawn]).to(device)
    seen, blood = torch.cat(pictures), torch.cat(bloods)
    outlined = ((labels[:, 0] == 0) | (blood.flatten(1).amax(1) > 0)).float()
    batch = Batch(
        seen, labels, torch.stack([one.scan_labels for one in drawn]).to(device),
        tuple(len(one.labels) for one in drawn), blood if recipe.losses.outline else None, outlined,
        tuple(one.sources for one in drawn),
    )  # fmt: skip
    return mix(batch, recipe.augmentation.cutmix, drawn[0].seed)


class Pictures:
    """The source of a run on pictures; see `ichnode_training.loop.Source`."""

    def __init__(self, scans: Sequence[GridScan], recipe: Recipe, seed: int, phantoms: Sequence[GridScan] = ()) -> None:
        self._recipe, self._drawing = recipe, Drawing(scans, recipe, seed, phantoms)

    def draw(self, step: int, group: int) -> list[Drawn]:
        """Draw the sequences of a group."""
        return self._drawing.group(step, group)

    def batch(self, drawn: list[Drawn], device: torch.device) -> Batch:
        """Make them ready for the network."""
        return batch_of(drawn, self._recipe, device)
