"""What is on the screen beside what was sent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]


def square_of(viewport: Picture, side: int) -> Picture:
    """Cut the square picture out of the viewport that it fills from top to bottom, at the size that was sent."""
    height, width, _ = viewport.shape
    left = (width - height) // 2
    return np.asarray(Image.fromarray(viewport[:, left : left + height]).resize((side, side)))


def likeness(one: Picture, other: Picture) -> float:
    """Correlate two square pictures by blocks of 8: letters differ when they are resampled, areas do not."""
    cells = len(one) // 8
    blocks = [picture.reshape(cells, 8, cells, 8, 3).mean((1, 3)).ravel() for picture in (one, other)]
    return float(np.corrcoef(*blocks)[0, 1]) if all(block.std() > 0 for block in blocks) else 0.0


def colour(picture: Picture) -> npt.NDArray[np.int16]:
    """Return how far the channels of each pixel are apart: 0 for greys."""
    return np.ptp(picture.astype(np.int16), axis=2)
