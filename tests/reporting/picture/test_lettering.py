"""Words stay in their boxes, whatever they are."""

from __future__ import annotations

import pytest

from ichnode.reporting.picture.lettering import CUT, Canvas, line_height, width_of, wrapped

TEXTS = {
    "nothing": "",
    "a word": "subdural",
    "a sentence": "The slices lie further apart than they are thick, so that tissue between them was not seen.",
    "a word too long": "sha256:" + "5c" * 60,
    "a flood": "Warning: the gantry was tilted by 18.5 deg. " * 40,
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("box", [(10, 10, 400, 60), (10, 10, 60, 190), (100, 5, 390, 25)])
@pytest.mark.parametrize("align", ["left", "center", "right"])
def test_letters_stay_in_their_box(name: str, box: tuple[int, int, int, int], align: str) -> None:
    canvas = Canvas.blank(400, 200)
    canvas.write(TEXTS[name], box, 24, align=align, bold=True, smallest=8)
    (written,) = canvas.written
    assert not written.cut or name in ("a flood", "a word too long", "a sentence")
    pixels = canvas.pixels.any(-1)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = False
    assert not pixels.any()
    assert (left <= written.ink[0] and written.ink[2] <= right) or name == "nothing"
    assert written.ink[3] <= bottom or name == "nothing"


def test_what_fits_is_written_in_full_and_as_large_as_it_can_be() -> None:
    canvas = Canvas.blank(400, 200)
    canvas.write("Not analysed", (0, 0, 400, 60), 40)
    canvas.write(TEXTS["a sentence"], (0, 60, 400, 200), 40)
    short, long = canvas.written
    assert (short.size, short.cut, long.cut) == (40, False, False)
    assert 20 < long.size < 40
    larger = wrapped(TEXTS["a sentence"], long.size + 1, 398)
    assert len(larger) * line_height(long.size + 1) > 140


def test_what_is_cut_says_so() -> None:
    canvas = Canvas.blank(400, 60)
    canvas.write(TEXTS["a flood"], (0, 0, 400, 60), 24, smallest=12)
    assert canvas.written[0].cut
    assert canvas.written[0].lines[-1].endswith(CUT)
    assert canvas.written[0].lines[0].startswith("Warning: the gantry")


def test_lines_break_between_words_and_lose_none() -> None:
    lines = wrapped(TEXTS["a sentence"], 20, 300)
    assert " ".join(lines) == TEXTS["a sentence"]
    assert max(width_of(line, 20) for line in lines) <= 300
    pieces = wrapped(TEXTS["a word too long"], 20, 100)
    assert "".join(pieces) == TEXTS["a word too long"]
    assert max(width_of(piece, 20) for piece in pieces) <= 100
