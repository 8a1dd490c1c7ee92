"""The slices of a series as they are shown: turned, cropped to the head, with square millimetres and lettered edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ichnode.core.images import SeriesImages
from ichnode.reporting.picture.fusion import FAINTEST, coloured, fused, grey, window_of
from ichnode.reporting.picture.lettering import BLACK, PALE, WHITE, Box, Canvas
from ichnode.reporting.picture.view import View, radiological

_Scalar = TypeVar("_Scalar", bound=np.generic)
_TISSUE_HU = -200
_SHARE = 0.04
"""A line of pixels belongs to the head where at least this share of it is tissue."""
_MARGIN = 0.03
_SMALLEST_MM = 60.0
"""What is narrower is no head, but the top of one, or the wall of a hollow phantom: slices are shown whole."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The view and the crop that all slices of a page share.

    Attributes
    ----------
    crop : (int, int, int, int)
        First and last row, first and last column as shown; the last ones outside.
    """

    images: SeriesImages
    view: View
    crop: tuple[int, int, int, int]

    @classmethod
    def of(cls, images: SeriesImages, shown: Sequence[int]) -> Scan:
        """Return the scan cropped to the head in the slices that are shown, where a head is found."""
        view = radiological(images.orientation)
        tissue = np.any([view.turn(images.volume[index]) > _TISSUE_HU for index in shown], axis=0)
        rows, columns = _extent(tissue.mean(1)), _extent(tissue.mean(0))
        tall, wide = view.pixel_mm(images.spacing_mm)
        if min(tall * (rows[1] - rows[0]), wide * (columns[1] - columns[0])) < _SMALLEST_MM:
            return cls(images, view, (0, len(tissue), 0, len(tissue[0])))
        return cls(images, view, (*rows, *columns))

    def draw(
        self, canvas: Canvas, box: Box, index: int, name: str, caption: str,
        heat: NDArray[np.float32] | None = None,
    ) -> None:  # fmt: skip
        """Draw a slice as large as it fits into the upper part of a box, with a caption below and letters at its edges.

        Parameters
        ----------
        name : str
            The class it is shown for, which decides the window.
        heat : (rows, columns) array of float32, optional
            Laid over the slice.
        """
        left, top, right, bottom = box
        below = 26
        width, height = self._size(right - left, bottom - top - below)
        greys = grey(self._shown(self.images.volume[index]), window_of(name)[1], (width, height))
        at = left + (right - left - width) // 2
        canvas.paste(coloured(greys) if heat is None else fused(greys, self._shown(heat)), at, top)
        canvas.write(caption, (left, top + height, right, top + height + below), 20, colour=PALE, align="center")
        if heat is not None and heat.max() >= FAINTEST:
            self._cross(canvas, (at, top, width, height), heat)
        middle = top + height // 2
        aside = 24 if at - left >= 24 else -4  # beside the slice where there is room
        for letter, x, align in ((self.view.left, at - aside, "left"), (self.view.right, at + width + aside, "right")):
            edge = (x, middle - 14, x + 24, middle + 14) if align == "left" else (x - 24, middle - 14, x, middle + 14)
            canvas.write(letter, edge, 22, align=align, middle=True, outlined=True)

    def _cross(self, canvas: Canvas, picture: tuple[int, int, int, int], heat: NDArray[np.float32]) -> None:
        """Point at the highest activation, so that its place is seen without colours too."""
        left, top, width, height = picture
        shown = self._shown(heat)
        row, column = np.unravel_index(int(np.argmax(shown)), shown.shape)
        x = left + round((int(column) + 0.5) * width / shown.shape[1])
        y = top + round((int(row) + 0.5) * height / shown.shape[0])
        for colour, thick in ((BLACK, 4), (WHITE, 2)):
            for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                ends = (x + 9 * dx, y + 9 * dy, x + 20 * dx, y + 20 * dy)
                canvas.draw.line(ends, fill=colour, width=thick)

    def _shown(self, stored: NDArray[_Scalar]) -> NDArray[_Scalar]:
        first_row, last_row, first_column, last_column = self.crop
        return self.view.turn(stored)[first_row:last_row, first_column:last_column]

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Return the largest width and height that fit and show a millimetre as long in both directions."""
        tall, wide = self.view.pixel_mm(self.images.spacing_mm)
        high_mm, wide_mm = tall * (self.crop[1] - self.crop[0]), wide * (self.crop[3] - self.crop[2])
        scale = min(width / wide_mm, height / high_mm)
        return max(1, round(wide_mm * scale)), max(1, round(high_mm * scale))


def _extent(share: NDArray[np.floating]) -> tuple[int, int]:
    """Return the first and last line of the head with a margin; all lines where there is no head.

    The head is the unbroken run of lines with the most tissue: the holder lies apart from it.
    """
    inside = np.concatenate([[False], share >= _SHARE, [False]])
    edges = np.flatnonzero(np.diff(inside.astype(np.int8))).reshape(-1, 2)
    if not len(edges):
        return 0, len(share)
    first, last = max(edges, key=lambda run: float(share[run[0] : run[1]].sum()))
    margin = round(len(share) * _MARGIN)
    return max(0, int(first) - margin), min(len(share), int(last) + margin)
