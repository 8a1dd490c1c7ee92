"""Where everything stands on the page, in pixels of its 1024."""

from __future__ import annotations

from collections.abc import Sequence

from ichnode.reporting.picture.lettering import Box

BANNER: Box = (0, 0, 1024, 36)
PATIENT: Box = (12, 38, 1012, 72)
ANSWER: Box = (8, 74, 1016, 172)
SLICES: Box = (12, 178, 1012, 682)
STRIP: Box = (12, 690, 570, 866)
TABLE: Box = (604, 690, 1012, 866)
REMARKS: Box = (12, 872, 1012, 964)
MAKER: Box = (12, 972, 1012, 1020)

_WORDS = 54
"""Height of the two lines above a slice."""
_LEGEND = 46
_LARGE = 612
"""Width of the first block where there are three pairs."""
_GAP = 8


def blocks(paired: Sequence[bool], legend: bool) -> tuple[list[Box], Box]:
    """Return a block for each slice, the best one first, and the box of the legend.

    Three pairs make one large block, the legend below it, and two small ones above each other; all else stands side by
    side.

    Parameters
    ----------
    paired : sequence of bool
        Whether each slice comes with its heat map.
    legend : bool
        Whether there is one; its box is empty else.
    """
    left, top, right, bottom = SLICES
    above = bottom - (_LEGEND if legend else 0)
    if len(paired) == 3 and any(paired):
        edge, middle = left + _LARGE, (top + bottom) // 2
        small = [
            (edge + 2 * _GAP, top, right, middle - _GAP // 2),
            (edge + 2 * _GAP, middle + _GAP // 2, right, bottom),
        ]
        return [(left, top, edge, above), *small], (left, above, edge, bottom)
    width = (right - left - (len(paired) - 1) * 2 * _GAP) // len(paired)
    starts = [left + i * (width + 2 * _GAP) for i in range(len(paired))]
    return [(x, top, x + width, above) for x in starts], (left, above, right, bottom)


def cells(block: Box, paired: bool) -> tuple[tuple[Box, Box], Box, Box | None]:
    """Return the boxes of a slice's two lines of words, of the slice, and of the slice with its heat map."""
    left, top, right, bottom = block
    words = ((left, top, right, top + _WORDS // 2 + 2), (left, top + _WORDS // 2 + 2, right, top + _WORDS))
    if not paired:
        return words, (left, top + _WORDS, right, bottom), None
    middle = (left + right) // 2
    plain = (left, top + _WORDS, middle - _GAP // 4, bottom)
    return words, plain, (middle + _GAP // 4, top + _WORDS, right, bottom)
