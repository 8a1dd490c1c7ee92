"""Random variation of training sequences on their device: one geometry for all slices of a sequence, noise for each.

A head is rotated, moved, scaled, mirrored and bent as a whole, as another patient's would be; slices that moved against
each other would teach the LSTM to distrust its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ichnode.inference.preprocess import AIR_HU

from .paper_augment import spoil, warp
from .recipe import Recipe


def vary(planes: Tensor, recipe: Recipe, seed: int) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Vary one sequence by the recipe's augmentation, as a whole or each slice on its own.

    Parameters
    ----------
    planes : tensor of shape (slices, 2, H, W)
        Hounsfield units, and 1 where blood is outlined.
    recipe : Recipe
    seed : int

    Returns
    -------
    (hu, blood, spoil)
        Tensors of shape (slices, H, W), and what is left to do to the windowed pictures.
    """
    how = recipe.augmentation
    parts = planes.split(1) if how.per_slice else (planes,)
    if how.kind == "none":
        return planes[:, 0], planes[:, 1], lambda pictures: pictures
    if how.kind == "head":
        varied = [
            augment(part[:, 0], part[:, 1], torch.Generator().manual_seed(seed + at)) for at, part in enumerate(parts)
        ]
        return torch.cat([hu for hu, _ in varied]), torch.cat([blood for _, blood in varied]), lambda pictures: pictures
    air = torch.tensor([AIR_HU, 0.0], device=planes.device)[:, None, None]
    moved = torch.cat([warp(part - air, seed + at) for at, part in enumerate(parts)]) + air

    def spoiled(pictures: Tensor) -> Tensor:
        pieces = pictures.split(1) if how.per_slice else (pictures,)
        return torch.cat([spoil(piece, recipe.preprocessing.std, seed + at) for at, piece in enumerate(pieces)])

    return moved[:, 0], moved[:, 1], spoiled


def augment(hu: Tensor, blood: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    """Vary one sequence.

    Parameters
    ----------
    hu, blood : tensors of shape (slices, H, W)
        Hounsfield units, and 1 where blood is outlined.
    rng : torch.Generator

    Returns
    -------
    (hu, blood) of the same shape, `blood` between 0 and 1
    """
    grid = _grid(hu.shape[-2:], rng, hu.device).expand(len(hu), -1, -1, -1)
    both = torch.stack((hu - AIR_HU, blood), dim=1)  # (slices, 2, H, W); outside is 0, that is air
    moved = functional.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    varied = moved[:, 0] + AIR_HU
    if _draw(rng) < 0.25:
        varied = _smooth(varied, 0.4 + 0.5 * _draw(rng))
    sigma = 5.0 * _draw(rng) ** 2
    beside = Generator(hu.device).manual_seed(int(torch.randint(2**62, (), generator=rng)))
    noise = torch.randn(varied.shape, generator=beside, device=hu.device) * sigma
    if _draw(rng) < 0.5:
        noise = _smooth(noise, 0.7) * 2
    tissue = varied > -200
    gain = 1 + 0.04 * (2 * _draw(rng) - 1)
    offset = 4 * (2 * _draw(rng) - 1)
    return torch.where(tissue, varied * gain + offset, varied) + noise, moved[:, 1]


def _draw(rng: Generator) -> float:
    return float(torch.rand((), generator=rng))


def _grid(shape: torch.Size, rng: Generator, device: torch.device) -> Tensor:
    angle = math.radians(15 * (2 * _draw(rng) - 1))
    zoom = 1 + 0.12 * (2 * _draw(rng) - 1)
    squeeze = 1 + 0.05 * (2 * _draw(rng) - 1)
    mirror = -1.0 if _draw(rng) < 0.5 else 1.0
    cosine, sine = math.cos(angle), math.sin(angle)
    theta = torch.tensor(
        [
            [mirror * cosine * zoom * squeeze, -sine * zoom, 0.12 * (_draw(rng) - 0.5)],
            [mirror * sine * zoom, cosine * zoom / squeeze, 0.12 * (_draw(rng) - 0.5)],
        ],
        device=device,
    )
    grid = functional.affine_grid(theta[None], [1, 1, *shape], align_corners=False)
    if _draw(rng) < 0.5:
        bend = torch.randn((1, 2, 5, 5), generator=rng).to(device) * 0.02
        smooth = functional.interpolate(bend, tuple(shape), mode="bicubic", align_corners=True)
        grid = grid + smooth.permute(0, 2, 3, 1)
    return grid


def _smooth(planes: Tensor, sigma: float) -> Tensor:
    taps = torch.exp(-(torch.arange(-2, 3, dtype=torch.float32, device=planes.device) ** 2) / (2 * sigma**2))
    taps = taps / taps.sum()
    kernel = (taps[:, None] * taps[None, :])[None, None]
    return functional.conv2d(functional.pad(planes[:, None], (2, 2, 2, 2), mode="replicate"), kernel)[:, 0]
