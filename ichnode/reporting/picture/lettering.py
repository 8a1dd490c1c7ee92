"""Words on a picture: a font that comes with Pillow, lines that break, sizes that shrink until all fits."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; the last two are the first outside."""
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
PALE: Colour = (190, 190, 190)
AMBER: Colour = (255, 190, 40)
CUT = "... (more in the report)"
_LEADING = 1.22


@dataclass(frozen=True, slots=True)
class Written:
    """A text, the lines that were made of it, the box they were to stay in, the box they fill, and their size.

    `cut` says that the end of the text was left out.
    """

    text: str
    lines: tuple[str, ...]
    box: Box
    ink: Box
    size: int
    cut: bool


@dataclass(slots=True)
class Canvas:
    """A picture in the making, which remembers every word that was written on it."""

    image: Image.Image
    written: list[Written] = field(default_factory=list)

    @classmethod
    def blank(cls, width: int, height: int) -> Canvas:
        """Return a black canvas."""
        return cls(Image.new("RGB", (width, height)))

    @property
    def draw(self) -> ImageDraw.ImageDraw:
        """What draws lines and shapes on it."""
        return ImageDraw.Draw(self.image)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture, (height, width, 3)."""
        return np.asarray(self.image, np.uint8)

    def paste(self, colours: NDArray[np.float32], left: int, top: int) -> None:
        """Put (height, width, 3) colours of 0..255 on the canvas."""
        self.image.paste(Image.fromarray(np.clip(np.rint(colours), 0, 255).astype(np.uint8)), (left, top))

    def write(
        self, text: str, box: Box, size: int, *, smallest: int = 12, colour: Colour = WHITE, align: str = "left",
        middle: bool = False, bold: bool = False, outlined: bool = False,
    ) -> Box:  # fmt: skip
        """Write a text into a box, in the largest size up to `size` in which it fits; returns what it fills.

        What does not fit even in the smallest size is cut, and says so.

        Parameters
        ----------
        align : str
            left, center or right.
        middle : bool
            Whether it stands in the middle of the box's height.
        outlined : bool
            With a black rim, to be read on top of an image.
        """
        left, top, right, bottom = box
        lines, fitting, cut = _fitted(text, right - left - 2, bottom - top, size, smallest)
        stroke = fitting / 80 if bold else 0.0
        height = line_height(fitting)
        y = top + (bottom - top - height * len(lines)) // 2 if middle else top
        ink = [right, bottom, left, top]
        for line in lines:
            spare = right - left - 2 - width_of(line, fitting)
            x = left + 1 + {"left": 0, "center": spare // 2, "right": spare}[align]
            if outlined:
                self.draw.text((x, y), line, fill=colour, font=_font(fitting), stroke_width=2, stroke_fill=BLACK)
            else:
                self.draw.text((x, y), line, fill=colour, font=_font(fitting), stroke_width=stroke)
            ink = [min(ink[0], x), min(ink[1], y), max(ink[2], x + width_of(line, fitting)), y + height]
            y += height
        filled = (ink[0], ink[1], ink[2], ink[3])
        self.written.append(Written(text, tuple(lines), box, filled, fitting, cut))
        return filled


def line_height(size: int) -> int:
    """Return the distance between lines in pixels."""
    return round(size * _LEADING)


@lru_cache(4096)
def width_of(text: str, size: int) -> int:
    """Return the width of one line in pixels, rounded up."""
    return int(np.ceil(_font(size).getlength(text)))


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Break a text into lines of at most `width` pixels, between words where that is possible."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", size) <= width:
            lines[-1] = f"{lines[-1]} {word}"
            continue
        rest = word
        while width_of(rest, size) > width and len(rest) > 1:
            fits = _letters_that_fit(rest, size, width)
            lines.append(rest[:fits])
            rest = rest[fits:]
        lines.append(rest)
    return lines or [""]


def _letters_that_fit(word: str, size: int, width: int) -> int:
    return max(1, bisect_right(range(len(word)), width, key=lambda last: width_of(word[: last + 1], size)))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType: install a wheel of Pillow from PyPI")
    # Raqm shapes other than Pillow itself, and is not everywhere: the same answer must be the same bytes.
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def _fitted(text: str, width: int, height: int, largest: int, smallest: int) -> tuple[list[str], int, bool]:
    for size in range(largest, smallest - 1, -1):
        lines = wrapped(text, size, width)
        if len(lines) * line_height(size) <= height:
            return lines, size, False
    most = max(1, height // line_height(smallest))
    kept = wrapped(text, smallest, width)[:most]
    words = kept.pop().split()
    while words and width_of(" ".join([*words, CUT]), smallest) > width:
        words.pop()
    return [*kept, *wrapped(" ".join([*words, CUT]), smallest, width)[:1]], smallest, True
