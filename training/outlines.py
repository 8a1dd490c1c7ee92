"""The second teacher: what is seen of an outlined haemorrhage in the CNN's maps. Only training has it, no bundle.

Coarse maps know what they see, fine ones where. A pyramid (Lin et al., CVPR 2017) brings the one to the other: each
map, narrowed, is added to the coarser one above it, and asked at its own resolution for the outline. So a bleed of a
few pixels teaches the CNN as surely as a large one, which a label for the whole slice does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

_WIDTH = 64


class Outlines(nn.Module):
    """Reads outlines from feature maps.

    Parameters
    ----------
    widths : sequence of int
        Channels of the maps, from fine to coarse.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(width, _WIDTH, 1) for width in widths)
        self.read = nn.ModuleList(nn.Conv2d(_WIDTH, 1, 1) for _ in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return logits of shape (slices, 1, h, w) for each of the maps (slices, channels, h, w)."""
        narrowed = [narrow(layer.float()) for narrow, layer in zip(self.narrow, maps, strict=True)]
        for coarse, fine in pairwise(range(len(narrowed) - 1, -1, -1)):
            above = functional.interpolate(narrowed[coarse], narrowed[fine].shape[-2:], mode="nearest")
            narrowed[fine] = narrowed[fine] + above
        return [read(functional.relu(layer)) for read, layer in zip(self.read, narrowed, strict=True)]
