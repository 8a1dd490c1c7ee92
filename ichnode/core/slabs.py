"""Thin slices averaged to slabs of about the thickness the network was trained on.

Head CT is read, and the public training data is made, at about 5 mm. A series of 0.6 mm slices shown as it is would be
noisier than anything the network has seen, and its neighbours eight times too close.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def slab_indices(positions_mm: Sequence[float], thickness_mm: float) -> NDArray[np.intp]:
    """Tell into which slab each slice goes.

    With a median spacing s, a slab spans ``n * s`` where n is ``thickness_mm / s`` rounded: 5 mm from 1.25 mm slices
    takes 4, from 2.5 mm slices 2, from 3.5 mm slices 1 (then nothing is averaged). A slab is a range of positions, not
    a count, so a gap leaves slabs with fewer slices instead of averaging across it.

    Parameters
    ----------
    positions_mm : sequence of float, ascending
        Position of each slice along the slice normal.
    thickness_mm : float
        Thickness aimed at.

    Returns
    -------
    array of shape (slices,)
        0-based slab of every slice, ascending, without holes. It maps back, too: ``slab_scores[indices]`` is a score
        for every slice.
    """
    positions = np.asarray(positions_mm, np.float64)
    if len(positions) < 2:
        return np.zeros(len(positions), np.intp)
    steps = np.diff(positions)
    if np.any(steps < 0):
        raise ValueError("Slabs need positions in ascending order.")
    spacing = float(np.median(steps))
    count = round(thickness_mm / spacing) if spacing > 0 else 1
    if count <= 1:
        return np.arange(len(positions), dtype=np.intp)
    bins = np.floor((positions - positions[0] + spacing / 2) / (count * spacing)).astype(np.intp)
    return np.unique(bins, return_inverse=True)[1].astype(np.intp)


def average_slabs(volume_hu: NDArray[np.int16], indices: NDArray[np.intp]) -> NDArray[np.float32]:
    """Average the slices of each slab.

    Parameters
    ----------
    volume_hu : array of shape (slices, rows, columns)
    indices : array of shape (slices,)
        From `slab_indices`.

    Returns
    -------
    array of shape (slabs, rows, columns), float32, in HU
    """
    slabs = np.empty((int(indices[-1]) + 1, *volume_hu.shape[1:]), np.float32)
    for slab in range(len(slabs)):
        np.mean(volume_hu[indices == slab], axis=0, dtype=np.float32, out=slabs[slab])
    return slabs
