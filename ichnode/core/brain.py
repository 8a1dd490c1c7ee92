"""Whether there is a brain in the picture at all: the last question before an answer may be called negative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import Warned

BONE_HU = 200
"""Above this a block counts as skull: thin bone averaged over a block and a thick slice falls to about here."""
BRAIN_HU = (5, 80)
"""Brain, liquor beside it, oedema and fresh blood, averaged over a block of a few millimetres."""
LEAST_BRAIN_ML = 50.0
"""Measured: a newborn with open fontanelles 96 mL (at an assumed pixel size), a plastic skull 17 mL or less."""
_BLOCK_MM = 4.0
_PIXEL_HU = (-80, 150)
"""Single pixels of brain, with the noise of a thin slice."""


def brain_ml(
    volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
) -> float:
    """Measure the soft tissue of brain density that is enclosed by bone.

    The slices are averaged to blocks of about 4 mm so that noise does not decide. A block is enclosed when the same
    slice has bone to its left, right, front and back.

    Parameters
    ----------
    volume_hu : array of shape (slices, rows, columns)
    positions_mm : sequence of float
        Position of each slice along the slice normal, in either order.
    pixel_spacing_mm : (between rows, between columns)

    Returns
    -------
    float
        Millilitres. A whole adult head gives 700 to 1600, a skull phantom or an empty gantry almost nothing.
    """
    spacing_mm = float(np.median(np.abs(np.diff(positions_mm)))) if len(positions_mm) > 1 else 5.0
    rows, columns = (max(1, round(_BLOCK_MM / side)) for side in pixel_spacing_mm)
    block_ml = rows * pixel_spacing_mm[0] * columns * pixel_spacing_mm[1] * spacing_mm / 1000
    return block_ml * sum(_brain_blocks(slice_hu, rows, columns) for slice_hu in volume_hu)


def brain_hu(volume_hu: NDArray[np.int16]) -> float | None:
    """Return the median of what has the density of brain in the middle third of the slices, HU; None without any.

    It wanders when a scanner's calibration does. Every fourth pixel is enough.
    """
    third = len(volume_hu) // 3
    middle = volume_hu[third : len(volume_hu) - third, ::2, ::2]
    brain = middle[(middle >= BRAIN_HU[0]) & (middle <= BRAIN_HU[1])]
    return float(np.median(brain)) if brain.size else None


def no_brain_seen(
    volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
) -> Warned | None:
    """Return ``NO_BRAIN_SEEN`` when the volume holds too little brain to call anything negative, else None.

    Parameters and units as `brain_ml`.
    """
    seen_ml = brain_ml(volume_hu, positions_mm, pixel_spacing_mm)
    if seen_ml >= LEAST_BRAIN_ML:
        return None
    return Warned(
        "NO_BRAIN_SEEN",
        f"Only {seen_ml:.0f} mL of brain density inside bone was found (at least {LEAST_BRAIN_ML:.0f} mL expected): "
        "this may be a phantom, another body part or wrong Hounsfield units.",
    )


def _brain_blocks(slice_hu: NDArray[np.int16], rows: int, columns: int) -> int:
    high, wide = slice_hu.shape[0] // rows * rows, slice_hu.shape[1] // columns * columns
    if high == 0 or wide == 0:
        return 0
    cut = slice_hu[:high, :wide]
    shape = (high // rows, rows, wide // columns, columns)
    # Air below -200 HU would pull a block at the skin or in a sinus into the range of brain, metal would push it out.
    blocks = np.clip(cut, -200, 1000).astype(np.float32).reshape(shape).mean(axis=(1, 3))
    # Bone beside air averages to the density of brain, too: the pixels themselves have to be near it.
    pure = ((cut > _PIXEL_HU[0]) & (cut < _PIXEL_HU[1])).reshape(shape).mean(axis=(1, 3)) >= 0.8
    bone = blocks >= BONE_HU
    enclosed = np.ones_like(bone)
    for axis in (0, 1):
        enclosed &= np.logical_or.accumulate(bone, axis=axis)
        enclosed &= np.flip(np.logical_or.accumulate(np.flip(bone, axis), axis=axis), axis)
    return int(np.count_nonzero(enclosed & pure & (blocks >= BRAIN_HU[0]) & (blocks <= BRAIN_HU[1])))
