"""A slice in its window, and a heat map laid over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichnode.core.windows import BRAIN, SUBDURAL, Window

Floats = NDArray[np.float32]

# Inferno: black over purple, red and orange to pale yellow; its lightness rises evenly, so that it reads in grey too.
_INFERNO = np.array(
    [
        (0, 0, 4), (33, 12, 74), (86, 16, 110), (137, 34, 106), (187, 55, 84),
        (227, 89, 50), (249, 140, 10), (249, 201, 50), (252, 255, 164),
    ],
    np.float32,
)  # fmt: skip
FAINTEST = 0.1
"""Activation, as a share of the highest of the series, from which on a map is seen."""
_FULL, _OPACITY = 0.4, 0.65
"""Activation at which the map is as opaque as it gets, and how opaque that is."""
_DARKEST = 0.25
"""Where in the colours the map begins: darker ones are not told from dark brain."""


def window_of(shown_for: str) -> tuple[str, Window]:
    """Return name and window in which a class is best seen: blood along the skull is lost in the brain window."""
    return ("subdural", SUBDURAL) if shown_for == "subdural" else ("brain", BRAIN)


def inferno(activation: Floats) -> Floats:
    """Map 0..1 of any shape to colours, shape (..., 3), 0..255."""
    at = np.clip(activation, 0, 1) * (len(_INFERNO) - 1)
    stops = np.arange(len(_INFERNO))
    return np.stack([np.interp(at, stops, _INFERNO[:, channel]) for channel in range(3)], -1).astype(np.float32)


def grey(hounsfield: NDArray[np.int16], window: Window, size: tuple[int, int]) -> Floats:
    """Return a slice in its window, 0..255.

    Parameters
    ----------
    hounsfield : (rows, columns) array of int16
    window : Window
    size : (int, int)
        Width and height of the result, (height, width).
    """
    shown = Image.fromarray(np.rint(window.apply(hounsfield) * 255).astype(np.uint8))
    return np.asarray(shown.resize(size, Image.Resampling.BICUBIC), np.float32)


def fused(greys: Floats, heat: Floats) -> Floats:
    """Lay a heat map over greys: (height, width) and any (rows, columns) of 0..1 make (height, width, 3), 0..255.

    Where there is no activation the greys stay as they are; anatomy shines through everywhere.
    """
    height, width = greys.shape
    resized = Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    activation = np.clip(np.asarray(resized, np.float32), 0, 1)
    opacity = _OPACITY * np.clip((activation - FAINTEST) / (_FULL - FAINTEST), 0, 1)[..., None]
    return coloured(greys) * (1 - opacity) + inferno(_DARKEST + (1 - _DARKEST) * activation) * opacity


def scale_bar(width: int, height: int) -> Floats:
    """Return the colours of a map from no activation to the highest, left to right, as they look on grey brain."""
    ramp = np.linspace(0, 1, width, dtype=np.float32)[None].repeat(height, 0)
    return fused(np.full((height, width), 100, np.float32), ramp)


def coloured(greys: Floats) -> Floats:
    """Return greys as colours: (height, width, 3)."""
    return np.repeat(greys[..., None], 3, -1)
