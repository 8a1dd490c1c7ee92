"""The documentation's picture of phantoms: ``python -m ichnode_training.phantom_picture FILE.png``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .phantom import Phantom, make_head

BRAIN, BONE = (40, 80), (600, 2800)
_SIDE = 256
_HEADS: tuple[tuple[int, dict[str, float], dict[str, float], tuple[str, ...]], ...] = (
    (8, {}, {}, ()),
    (22, {"intraparenchymal": 35.0, "intraventricular": 6.0}, {"intraparenchymal": 60.0}, ("calcified-choroid",)),
    (12, {"subdural": 60.0}, {"subdural": 62.0}, ()),
    (5, {"epidural": 35.0, "subarachnoid": 14.0}, {"subarachnoid": 58.0}, ()),
)
"""Seed, volumes, densities and mimics of each row."""
_SLICES = (4, 9, 12, 16, 18, 22)


def picture() -> Image.Image:
    """Return a row of slices per head in the brain window, and the first head again in the bone window."""
    heads = [
        make_head(seed, tuple(volumes), matrix=_SIDE, volumes_ml=volumes, densities_hu=hu, mimics=mimics)
        for seed, volumes, hu, mimics in _HEADS
    ]
    rows = [_row(heads[0], BONE), *(_row(head, BRAIN) for head in heads)]
    return Image.fromarray(np.vstack(rows))


def _row(head: Phantom, window: tuple[int, int]) -> NDArray[np.uint8]:
    centre, width = window
    grey = np.clip((head.hu[list(_SLICES)] - (centre - width / 2)) / width, 0, 1) * 255
    return np.hstack([*np.rint(grey).astype(np.uint8)])


if __name__ == "__main__":
    picture().quantize(64, dither=Image.Dither.NONE).save(Path(sys.argv[1]), optimize=True)
