"""From Hounsfield units to network input: the one definition that node and lab share.

Rules of version 1, in this order:

1. Slices are put in ascending order of their position along the slice normal.
2. **Thin series** are averaged to slabs of about ``slab_mm`` (`ichnode.core.slabs`).
3. **In plane.** HU are clamped to -1024..3071. With a ``field_of_view_mm`` F, a square of F mm is cut out of every
   slice, the same square for the whole series, centred on the skull: the middle between the 1st and 99th percentile of
   the rows and of the columns of all voxels over 300 HU (middle of the body over -300 HU where there are fewer than
   1,000 such voxels; middle of the image where there is nothing). The square is rounded to whole pixels; what lies
   outside the image is air (-1024 HU). It is resampled, anti-aliased bilinear, to ``matrix`` × ``matrix``: any matrix,
   any field of view, non-square pixels too.
   Without a field of view (the paper) pixels are kept as the scanner made them and the matrix is cut, or filled up with
   air, around its centre to ``matrix``; only where a side is over 1.25 × ``matrix`` is it resampled instead, so that
   the longer side is ``matrix``.
4. **Channels.** Each of the three windows maps HU linearly to 0..1, clipped, without rounding to 8 bit; then the mean
   is subtracted and the standard deviation divided out, channel by channel. With ``neighbours`` k, the k slabs below
   and above come along: slab by slab from the lowest, each with its three windows. Beyond the ends of the scan the last
   slab stands in.
5. **Mirrored reading.** Where the card asks for it, the scan is read a second time with left and right exchanged, and
   the two scores of every slice are averaged.

The rules' version stands in every bundle's card; a change of any rule needs a new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ichnode.core.slabs import average_slabs, slab_indices
from ichnode.errors import BadObject
from ichnode.inference.bundle import Preprocessing

AIR_HU = -1024.0
_HIGHEST_HU = 3071.0


@dataclass(frozen=True, slots=True)
class Field:
    """The rectangle of the image that the network sees, in whole pixels; it may reach beyond the image.

    Attributes
    ----------
    first : (row, column)
        Its first pixel; negative where it begins outside the image.
    size : (rows, columns)
    """

    first: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A series ready for windowing.

    Attributes
    ----------
    hu : tensor of shape (slabs, matrix, matrix), float32
        From the lowest to the highest position.
    slab_of : array of shape (slices,)
        For every slice, in the order it was given, its slab.
    field : Field
        What of every slice became `hu`: the way back from the network's grid to the image.
    """

    hu: Tensor
    slab_of: NDArray[np.intp]
    field: Field


def prepare(
    volume_hu: NDArray[np.int16],
    positions_mm: Sequence[float],
    pixel_spacing_mm: tuple[float, float],
    how: Preprocessing,
) -> Prepared:
    """Apply rules 1 to 3.

    Parameters
    ----------
    volume_hu : array of shape (slices, rows, columns)
    positions_mm : sequence of float, one per slice
        Position along the slice normal.
    pixel_spacing_mm : (between rows, between columns)
    how : Preprocessing

    Raises
    ------
    BadObject
        Shapes, positions or spacing do not describe a volume.
    """
    positions = np.asarray(positions_mm, np.float64)
    if volume_hu.ndim != 3 or 0 in volume_hu.shape or positions.shape != volume_hu.shape[:1]:
        raise BadObject(f"A volume of shape {volume_hu.shape} with {positions.size} positions cannot be read.")
    if not (np.all(np.isfinite(positions)) and all(np.isfinite(s) and s > 0 for s in pixel_spacing_mm)):
        raise BadObject("Slice positions and pixel spacing have to be finite, and the spacing above 0 mm.")
    order = np.argsort(positions, kind="stable")
    indices = slab_indices(positions[order].tolist(), how.slab_mm)
    slabs = average_slabs(volume_hu[order], indices)
    slab_of = np.empty_like(indices)
    slab_of[order] = indices
    np.clip(slabs, AIR_HU, _HIGHEST_HU, out=slabs)
    field = field_of(slabs, pixel_spacing_mm, how)
    return Prepared(_resample(_cut(slabs, field, AIR_HU), how.matrix), slab_of, field)


def channels(hu: Tensor, how: Preprocessing) -> Tensor:
    """Apply the windows of rule 4 on the device of `hu`.

    Parameters
    ----------
    hu : tensor of shape (n, H, W), or (n, s, H, W) with neighbours

    Returns
    -------
    tensor of shape (n, 3, H, W), or (n, 3 * s, H, W)
    """
    slabs = hu[:, None] if hu.ndim == 3 else hu
    out = hu.new_empty((len(hu), slabs.shape[1], 3, *hu.shape[-2:]))
    for channel, (window, mean, std) in enumerate(zip(how.windows, how.mean, how.std, strict=True)):
        scaled = slabs.sub(window.lowest).mul_(1 / window.width).clamp_(0, 1)
        out[:, :, channel] = scaled.sub_(mean).mul_(1 / std)
    return out.flatten(1, 2)


def with_neighbours(rows: Sequence[int], count: int, how: Preprocessing) -> Tensor:
    """Return for slabs `rows` of a scan of `count` which slabs make up their channels, shape (rows, 1 + 2 k)."""
    around = torch.arange(-how.neighbours, how.neighbours + 1)
    return (torch.as_tensor(rows)[:, None] + around).clamp_(0, count - 1)


def in_plane(
    slabs: NDArray[np.float32],
    pixel_spacing_mm: tuple[float, float],
    how: Preprocessing,
    centre: tuple[float, float] | None = None,
    outside: float = AIR_HU,
) -> Tensor:
    """Apply the cut and the resampling of rule 3 to slices of shape (n, rows, columns).

    `centre` (row, column) and the value `outside` the image may be given, so that the lab can cut an expert's outline
    exactly as the picture it belongs to.
    """
    return _resample(_cut(slabs, field_of(slabs, pixel_spacing_mm, how, centre), outside), how.matrix)


def field_of(
    slabs: NDArray[np.float32],
    pixel_spacing_mm: tuple[float, float],
    how: Preprocessing,
    centre: tuple[float, float] | None = None,
) -> Field:
    """Tell which rectangle of slices of shape (n, rows, columns) rule 3 cuts out."""
    rows, columns = slabs.shape[1:]
    if how.field_of_view_mm is None:
        longest = max(rows, columns)
        side = longest if longest > 1.25 * how.matrix else how.matrix
        return _around((rows / 2, columns / 2), (side, side))
    down, across = (max(1, round(how.field_of_view_mm / step)) for step in pixel_spacing_mm)
    return _around(centre or centre_of_head(slabs), (down, across))


def _around(centre: tuple[float, float], size: tuple[int, int]) -> Field:
    return Field((round(centre[0] - size[0] / 2), round(centre[1] - size[1] / 2)), size)


def _resample(square: NDArray[np.float32], side: int) -> Tensor:
    if square.shape[1:] == (side, side):
        return torch.from_numpy(square)
    out = torch.empty((len(square), side, side))
    for index, plane in enumerate(square):  # slice by slice: memory stays that of one
        source = torch.from_numpy(plane)[None, None]
        out[index] = functional.interpolate(source, (side, side), mode="bilinear", antialias=True)[0, 0]
    return out


def _cut(slabs: NDArray[np.float32], field: Field, outside: float) -> NDArray[np.float32]:
    """Return the field of every slice; beyond the image it holds `outside`."""
    out = np.full((len(slabs), *field.size), outside, np.float32)
    here: list[slice] = [slice(None)]
    there: list[slice] = [slice(None)]
    for first, extent, limit in zip(field.first, field.size, slabs.shape[1:], strict=True):
        here.append(slice(max(0, -first), max(0, min(extent, limit - first))))
        there.append(slice(max(0, first), max(0, min(limit, first + extent))))
    out[tuple(here)] = slabs[tuple(there)]
    return out


def centre_of_head(slabs: NDArray[np.float32]) -> tuple[float, float]:
    """Return the (row, column) on which rule 3 centres its square."""
    for least_hu, enough in ((300.0, 1000), (-300.0, 1)):
        mask = slabs > least_hu
        if np.count_nonzero(mask) >= enough:
            return _middle(mask.sum(axis=(0, 2))), _middle(mask.sum(axis=(0, 1)))
    return slabs.shape[1] / 2, slabs.shape[2] / 2


def _middle(counts: NDArray[np.int64]) -> float:
    share = np.cumsum(counts) / counts.sum()
    return float(np.searchsorted(share, 0.01) + np.searchsorted(share, 0.99) + 1) / 2
