"""Hounsfield windows: which part of the CT scale a picture, or a channel of the network, shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Window:
    """A linear window on Hounsfield units.

    Attributes
    ----------
    level, width : float
        Centre and extent in HU. Everything at or below ``level - width / 2`` is 0, at or above ``level + width / 2``
        is 1 (the LINEAR_EXACT function of PS3.3 C.11.2.1.3.2; PS3.3's LINEAR differs by half a grey step).
    """

    level: float
    width: float

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"A window needs a width above 0 HU, not {self.width}.")

    @property
    def lowest(self) -> float:
        """Lower end in HU."""
        return self.level - self.width / 2

    def apply(self, hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """Map Hounsfield units of any shape to 0..1, float32, same shape."""
        scaled = (hu.astype(np.float32) - np.float32(self.lowest)) * np.float32(1 / self.width)
        return np.clip(scaled, 0.0, 1.0, out=scaled)


BRAIN = Window(40, 80)
SUBDURAL = Window(75, 215)
BONE = Window(600, 2800)

PAPER = (BRAIN, SUBDURAL, BONE)
"""The three channels of Nguyen et al., MIDL 2020, in this order: brain, subdural, bone."""
