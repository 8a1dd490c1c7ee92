"""Whether a fast way to compute the CNN says what plain fp32 says: tried on a drawn head when a bundle is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import findings_from
from ichnode.inference.bundle import Bundle

MOST_OFF = 0.01
"""By which a score may differ from that of fp32."""
SLICES, SPACING_MM, PIXEL_MM = 10, 5.0, 0.9
_SKULL_MM, _BRAIN_MM, _SIDE_MM = 78.0, 72.0, 230.0
_AIR, _BONE, _BRAIN, _CSF, _BLOOD = -1000, 1100, 33, 8, 68


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the scores of two ways to compute one network are apart.

    Attributes
    ----------
    off : float
        Largest difference of a score, 0..1.
    same_calls : bool
        Whether each class comes out the same, and with them the verdict.
    """

    off: float
    same_calls: bool

    @property
    def holds(self) -> bool:
        """Whether the fast way may be used."""
        return self.off <= MOST_OFF and self.same_calls


def compare(plain: NDArray[np.float32], fast: NDArray[np.float32], bundle: Bundle) -> Agreement:
    """Hold scores of shape (slices, 6) against those of fp32; what is no number agrees with nothing."""
    if fast.shape != plain.shape or not np.isfinite(fast).all():
        return Agreement(1.0, False)
    before, after = ([f.present for f in findings_from(s.tolist(), bundle.thresholds)] for s in (plain, fast))
    return Agreement(float(np.abs(fast - plain).max()), before == after)


def drawn_head() -> tuple[NDArray[np.int16], list[float], tuple[float, float]]:
    """Return a head as `Engine.read` takes it, always the same: skull, brain, ventricles, a bleed in some slices.

    It is no patient and no phantom; it only has the densities and edges that a network looks at.
    """
    rng = np.random.default_rng(20260101)
    side = round(_SIDE_MM / PIXEL_MM)
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) * PIXEL_MM
    volume = np.full((SLICES, side, side), _AIR, np.int16)
    for index, plane in enumerate(volume):
        size = np.sin(np.pi * (index + 2) / (SLICES + 3))  # the head is narrower towards its ends
        radius = np.hypot(x, 0.85 * y) / size
        plane[radius < _SKULL_MM] = _BONE
        plane[radius < _BRAIN_MM] = _BRAIN
        plane[np.hypot(np.abs(x) - 11, y / 2.5) < 5 * size] = _CSF
        if index >= SLICES // 2:
            plane[np.hypot(x - 35, y + 15) < 4.0 * (index - SLICES // 2)] = _BLOOD
    volume += rng.normal(0, 4, volume.shape).round().astype(np.int16)
    return volume, [SPACING_MM * index for index in range(SLICES)], (PIXEL_MM, PIXEL_MM)
