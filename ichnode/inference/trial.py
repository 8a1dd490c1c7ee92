"""A bundle is tried before it comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ichnode.errors import BundleError
from ichnode.inference.engine import Engine


def try_bundle(path: Path) -> None:
    """Let a bundle's network read a few slices of water, so that one that cannot be run never comes in.

    Raises
    ------
    BundleError
        It cannot be loaded, or its scores are not numbers.
    """
    scores = Engine.load(path, "cpu").score(np.zeros((4, 64, 64), np.int16), [0.0, 5.0, 10.0, 15.0], (3.0, 3.0))
    if scores.shape != (4, 6) or not np.isfinite(scores).all():
        raise BundleError(f"The network of the model bundle {path} gives scores that are not numbers.")
