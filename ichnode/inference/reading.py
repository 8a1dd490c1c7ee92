"""A series as the network has read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ichnode.inference.preprocess import Prepared


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A series as the network has read it: the scores, and what it takes to explain them.

    Attributes
    ----------
    scores : float32 array of shape (slices, 6), columns as `ichnode.core.findings.CLASSES`, 0..1
        In the order the slices were given. Thin slices that were averaged to one slab share its scores. Not calibrated
        probabilities.
    prepared : Prepared
    features : tuple of tensors of shape (slabs, features)
        Pooled features; a second one of the mirrored slices where the bundle asks for that reading.
    maps : tuple of tensors of shape (slabs, channels, h, w)
        What the explained stage of the CNN gave, for each of `features`; empty when it would be over `MOST_KEPT`.
    shape : (slices, rows, columns)
        Of the volume.
    """

    scores: NDArray[np.float32]
    prepared: Prepared
    features: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]
    shape: tuple[int, int, int]
