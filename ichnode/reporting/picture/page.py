"""The picture of an answer on one page of 1024 by 1024 pixels, large enough to be read at half that size."""

from __future__ import annotations

from collections.abc import Sequence

from ichnode.core.findings import Verdict
from ichnode.core.images import SeriesImages
from ichnode.reporting.facts import Answer
from ichnode.reporting.picture import places
from ichnode.reporting.picture.fusion import scale_bar
from ichnode.reporting.picture.lettering import AMBER, BLACK, PALE, WHITE, Box, Canvas, Colour
from ichnode.reporting.picture.scan import Scan
from ichnode.reporting.picture.strip import draw_strip
from ichnode.reporting.picture.words import BANNER, PageWords, Row

SIDE = 1024
_GREY: Colour = (70, 70, 70)
_PANEL = {
    Verdict.POSITIVE: (AMBER, BLACK),  # inverse: it stands out on paper too
    Verdict.NEGATIVE: ((28, 42, 58), WHITE),
    Verdict.NOT_ANALYSED: (BLACK, WHITE),
}


def draw_page(answer: Answer, words: PageWords) -> Canvas:
    """Draw the page: the answer, the slices, where in the head, the classes, what to beware of, who says so."""
    canvas = Canvas.blank(SIDE, SIDE)
    canvas.draw.rectangle((0, 0, SIDE, places.BANNER[3] - 1), fill=WHITE)
    canvas.write(BANNER, places.BANNER, 27, colour=BLACK, align="center", middle=True, bold=True)
    canvas.write(words.patient, places.PATIENT, 26, align="center", middle=True)
    _answer(canvas, words)
    if answer.images is not None and words.captions:
        _slices(canvas, answer.images, words)
    if words.strip:
        scores = [row[0] for row in answer.outcome.scores]
        marked = [caption.index for caption in words.captions]
        draw_strip(canvas, places.STRIP, words.strip, scores, answer.outcome.findings[0].threshold, marked)
        _table(canvas, words.rows)
    _remarks(canvas, words)
    return canvas


def _answer(canvas: Canvas, words: PageWords) -> None:
    left, top, right, bottom = places.ANSWER
    paper, ink = _PANEL[words.verdict]
    canvas.draw.rectangle((left, top, right - 1, bottom - 1), fill=paper, outline=ink, width=3)
    _sign(canvas, words.verdict, ink)
    text = (left + 110, top + 6, right - 14, bottom - 6)
    canvas.write(words.answer, text, 44, colour=ink, middle=True, bold=True, smallest=14)


def _sign(canvas: Canvas, verdict: Verdict, ink: Colour) -> None:
    """Draw the answer as a shape: a warning triangle, an empty ring, or a question mark in a square."""
    left, top, _, bottom = places.ANSWER
    x, y, half = left + 58, (top + bottom) // 2, 34
    around = (x - half, y - half, x + half, y + half)
    if verdict is Verdict.POSITIVE:
        canvas.draw.polygon([(x - half - 4, y + half), (x + half + 4, y + half), (x, y - half)], fill=ink)
        canvas.draw.rectangle((x - 4, y - 12, x + 3, y + 12), fill=AMBER)
        canvas.draw.rectangle((x - 4, y + 18, x + 3, y + 25), fill=AMBER)
    elif verdict is Verdict.NEGATIVE:
        canvas.draw.ellipse(around, outline=ink, width=8)
    else:
        canvas.draw.rectangle(around, outline=ink, width=4)
        canvas.write("?", around, 48, colour=ink, align="center", middle=True, bold=True)


def _slices(canvas: Canvas, images: SeriesImages, words: PageWords) -> None:
    scan = Scan.of(images, [caption.index for caption in words.captions])
    paired = [caption.heat is not None for caption in words.captions]
    blocks, below = places.blocks(paired, words.legend is not None)
    highest = max((float(images.heat[c.index].max()) for c in words.captions if c.heat is not None), default=0.0)
    for caption, block in zip(words.captions, blocks, strict=True):
        (title, score), plain, fused = places.cells(block, caption.heat is not None)
        canvas.write(caption.title, title, 24, bold=True)
        canvas.write(caption.score, score, 21)
        scan.draw(canvas, plain, caption.index, caption.name, caption.window)
        if fused is not None and caption.heat is not None:
            # The highest of the series may lie on a slice that is not shown: the page has its own scale.
            heat = images.heat[caption.index] / (highest or 1)
            scan.draw(canvas, fused, caption.index, caption.name, caption.heat, heat)
    if words.legend is not None:
        _legend(canvas, below, words.legend, any(paired))


def _legend(canvas: Canvas, box: Box, text: str, with_heat: bool) -> None:
    left, top, right, bottom = box
    if not with_heat:
        canvas.write(text, box, 22, align="center", middle=True)
        return
    bar: Box = (left + 50, top + 10, left + 200, bottom - 10)
    canvas.paste(scale_bar(bar[2] - bar[0], bar[3] - bar[1]), bar[0], bar[1])
    canvas.draw.rectangle((bar[0] - 1, bar[1] - 1, bar[2], bar[3]), outline=PALE)
    canvas.write("low", (left, top, bar[0] - 4, bottom), 22, align="right", middle=True)
    canvas.write("high", (bar[2] + 4, top, bar[2] + 54, bottom), 22, middle=True)
    canvas.write(text, (bar[2] + 62, top, right, bottom), 20, middle=True)


def _table(canvas: Canvas, rows: Sequence[Row]) -> None:
    left, top, right, bottom = places.TABLE
    columns = (left, left + 182, left + 250, left + 318, right + 6)
    height = (bottom - top) // (len(rows) + 1)
    heads = ("class", "score", "thresh.", "answer")
    for number, texts in enumerate([heads, *((r.name, r.score, r.threshold, r.answer) for r in rows)]):
        y = top + number * height
        present = number > 0 and rows[number - 1].present
        colour = AMBER if present else PALE
        if present:
            canvas.draw.rectangle((left - 14, y + 6, left - 7, y + height - 8), fill=AMBER)
        for column, text in enumerate(texts):
            box = (columns[column], y, columns[column + 1] - 6, y + height)
            canvas.write(text, box, 20, colour=colour, bold=present, smallest=10)


def _remarks(canvas: Canvas, words: PageWords) -> None:
    _, top, _, _ = places.REMARKS
    if words.verdict is Verdict.NOT_ANALYSED and not words.captions:
        top = places.SLICES[1]
    left, _, right, bottom = places.REMARKS
    canvas.draw.line((left, bottom + 4, right, bottom + 4), fill=_GREY)
    if words.warnings:
        size = 32 if words.verdict is Verdict.NOT_ANALYSED else 22
        canvas.write(" ".join(words.warnings), (left, top, right, bottom), size, smallest=12, colour=AMBER)
    canvas.write(" ".join(words.maker), places.MAKER, 18, smallest=11, colour=PALE)
