"""The augmentation of Nguyen et al., from their published code, on the device.

Their list, each line with its chance: a crop of 80 to 100 % of the area, resized back (always); a flip, left-right or
up-down (half of the time, either as often); one of shift-scale-rotate, grid distortion, optical distortion or nothing
(half of the time); one of two noises or nothing (half); one of median blur, box blur or nothing (half). What has a
transform in torchvision is that one; the distortions, the noise and the blurs have none and are written here after
albumentations 0.4, which the authors used. Optical distortion there rounds its shift to whole pixels, which makes 0.

Geometry works on Hounsfield units above air, before the windows; noise and blur on the windowed pictures, as theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

_NOISES = ((0.01, 0.05), (10**0.5 / 255, 50**0.5 / 255))
"""Least and greatest deviation of the two noises, as shares of the window."""


def warp(planes: Tensor, seed: int) -> Tensor:
    """Move and bend all planes alike.

    Parameters
    ----------
    planes : tensor of shape (n, channels, H, W)
        0 is what comes in from outside.
    seed : int
    """
    with _seeded(seed):
        moved: Tensor = _geometry(planes.shape[-2], planes.shape[-1])(planes)
        return moved


def spoil(pictures: Tensor, std: Sequence[float], seed: int) -> Tensor:
    """Add noise and blur to windowed, normalised pictures of shape (n, channels, H, W), all alike."""
    with _seeded(seed + 1):
        if _chance(0.5):
            which = int(torch.randint(3, ()))
            if which < 2:
                low, high = _NOISES[which]
                level = low + (high - low) * float(torch.rand(()))
                unit = torch.tensor(std, device=pictures.device).repeat(pictures.shape[1] // len(std))[:, None, None]
                pictures = pictures + torch.randn_like(pictures) * level / unit
        if _chance(0.5):
            pictures = _blurred(pictures, int(torch.randint(3, ())))
        return pictures


def _geometry(high: int, wide: int) -> v2.Transform:
    flip = v2.RandomChoice([v2.RandomHorizontalFlip(1), v2.RandomVerticalFlip(1)])
    place = v2.RandomAffine(degrees=30, translate=(0.0625, 0.0625), scale=(0.9, 1.1), interpolation=_BILINEAR)
    bend = v2.RandomChoice([place, v2.Lambda(_grid_distortion), v2.Lambda(_optical_distortion), v2.Identity()])
    return v2.Compose(
        [
            v2.RandomResizedCrop((high, wide), scale=(0.8, 1)),
            v2.RandomApply([flip], p=0.5),
            v2.RandomApply([bend], p=0.5),
        ]
    )


_BILINEAR = v2.InterpolationMode.BILINEAR


def _grid_distortion(planes: Tensor, cells: int = 5, limit: float = 0.2) -> Tensor:
    """Stretch the columns and rows of a coarse grid, each by its own factor."""
    axes = []
    for extent in (planes.shape[-1], planes.shape[-2]):
        steps = 1 + limit * (2 * torch.rand(cells) - 1)
        knots = torch.cat((torch.zeros(1), steps.cumsum(0))) * (2 / cells) - 1
        axis = functional.interpolate(knots[None, None], extent, mode="linear", align_corners=True)[0, 0]
        axes.append(axis.to(planes.device))
    grid = torch.stack(torch.meshgrid(axes[0], axes[1], indexing="xy"), -1)
    return _at(planes, grid)


def _optical_distortion(planes: Tensor, limit: float = 0.2) -> Tensor:
    """Bend the picture as a lens would, about its middle."""
    strength = limit * (2 * float(torch.rand(())) - 1)
    down, across = (
        torch.linspace(-0.5, 0.5, extent, device=planes.device) for extent in (planes.shape[-2], planes.shape[-1])
    )
    x, y = torch.meshgrid(across, down, indexing="xy")
    radius = x**2 + y**2
    factor = 1 + strength * radius + strength * radius**2
    return _at(planes, 2 * torch.stack((x * factor, y * factor), -1))


def _at(planes: Tensor, grid: Tensor) -> Tensor:
    grids = grid.expand(len(planes), -1, -1, -1)
    return functional.grid_sample(planes, grids, mode="bilinear", padding_mode="reflection", align_corners=True)


def _blurred(pictures: Tensor, which: int) -> Tensor:
    if which == 2:
        return pictures
    padded = functional.pad(pictures, (1, 1, 1, 1), mode="reflect")
    if which == 1:
        return functional.avg_pool2d(padded, 3, stride=1)
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1)  # (n, channels, H, W, 3, 3)
    return windows.flatten(-2).median(-1).values


def _chance(share: float) -> bool:
    return float(torch.rand(())) < share


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let torchvision's transforms, which draw from torch's own generator, draw from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
