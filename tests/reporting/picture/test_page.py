"""The page as pixels: everything fits, nothing covers anything, and what is drawn is what the slices and scores are."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from ichnode.core.findings import CLASSES, Outcome, Warned, findings_from, verdict_of
from ichnode.core.images import SeriesImages
from ichnode.core.reasons import WARNINGS
from ichnode.reporting.facts import Answer
from ichnode.reporting.header import result_header
from ichnode.reporting.picture import places
from ichnode.reporting.picture.lettering import Canvas
from ichnode.reporting.picture.page import SIDE, draw_page
from ichnode.reporting.picture.scan import Scan
from ichnode.reporting.picture.words import PageWords, page_words
from tests.reporting import corpus


def drawn(kind: str, with_images: bool = True, **changes: object) -> tuple[Canvas, PageWords]:
    series = corpus.named("ascii")
    images = corpus.images_of(series, kind) if with_images else None
    return page_of(corpus.answer(series, kind, **({"images": images} | changes)))


def page_of(answer: Answer) -> tuple[Canvas, PageWords]:
    identity = corpus.identity()
    words = page_words(answer, identity, result_header(answer, identity, "OT", "made"), False)
    return draw_page(answer, words), words


def colour(pixels: np.ndarray) -> np.ndarray:
    """How far each pixel is from grey."""
    return np.ptp(pixels.astype(int), axis=-1)


def fits(canvas: Canvas) -> None:
    for written in canvas.written:
        left, top, right, bottom = written.box
        assert 0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE
        assert left <= written.ink[0] and written.ink[2] <= right, written
        assert written.ink[3] <= bottom, written
    for one, other in itertools.combinations(canvas.written, 2):
        apart = (
            one.ink[2] <= other.ink[0] or other.ink[2] <= one.ink[0]
            or one.ink[3] <= other.ink[1] or other.ink[3] <= one.ink[1]
        )  # fmt: skip
        assert apart, (one, other)


@pytest.mark.parametrize("with_images", [True, False])
@pytest.mark.parametrize("kind", corpus.KINDS)
def test_every_word_is_on_the_page_in_full_and_covers_no_other(kind: str, with_images: bool) -> None:
    canvas, words = drawn(kind, with_images)
    assert canvas.pixels.shape == (1024, 1024, 3)
    fits(canvas)
    assert [written.text for written in canvas.written if written.cut] == []
    everything = " ".join(written.text for written in canvas.written)
    assert [text for text in words.all() if text not in everything] == []
    sizes = {written.text: written.size for written in canvas.written}
    assert sizes[words.answer] >= 34, "read at a glance, also at half the size"
    assert sizes[words.patient] >= 20


WORST = "Intracranial and extracranial finding of the most verbose kind, repeated for good measure and then once more"


@pytest.mark.parametrize("slices", [2, 8, 300])
def test_the_worst_fits_too(slices: int) -> None:
    """All classes present, a partial series, every warning there is, long names of everything."""
    series = corpus.named("ascii")
    series.header.PatientID, series.header.AccessionNumber = "P" * 64, "A" * 16
    rows = [[0.9] * 6 for _ in range(slices)]
    findings = findings_from(rows, corpus.THRESHOLDS)
    warnings = tuple(Warned(code, sentence) for code, sentence in list(WARNINGS.items())[:12])
    order = tuple((f"2.25.1{index}", 1) for index in range(slices))
    outcome = Outcome(
        verdict_of(findings), tuple(map(tuple, rows)), findings, warnings, None, f"{WORST}; {WORST}", order
    )
    evidence = tuple(("1.2.840.10008.5.1.4.1.1.2", uid) for uid, _ in order)
    model = dataclasses.replace(
        corpus.MODEL, name="a name of sixty-four letters " * 2, version="2026.11.24+g0123456789"
    )
    device = dataclasses.replace(corpus.DEVICE, name="N" * 64, station_aet="A" * 16)
    plane = corpus.images_of(series, "positive")
    images = dataclasses.replace(
        plane, volume=np.repeat(plane.volume[:1], slices, 0), heat=dict.fromkeys(range(slices), plane.heat[12]),
        heat_class=dict.fromkeys(range(slices), "intraparenchymal"),
    )  # fmt: skip
    answer = Answer(header=series.header, evidence=evidence, outcome=outcome, model=model, device=device, images=images)
    canvas, words = page_of(answer)
    fits(canvas)
    assert words.answer.startswith("PRELIMINARY: Intracranial hemorrhage suspected (intraparenchymal, intravent")
    cut = [written for written in canvas.written if written.cut]
    assert all(written.text.startswith("PRELIMINARY: the series was incomplete") for written in cut)
    for written in cut:
        assert written.lines[-1].endswith("(more in the report)")


def test_a_reason_may_be_long() -> None:
    reason = Warned("PIXELS_UNREADABLE", f"{WORST}. {WORST}. {WORST}.")
    canvas, _ = drawn(
        "failed", outcome=dataclasses.replace(corpus.outcome_of("failed", corpus.named("ascii"))[0], reason=reason)
    )
    fits(canvas)
    assert not any(written.cut for written in canvas.written)


def test_the_heat_is_coloured_where_it_is_hot_and_grey_elsewhere() -> None:
    canvas, words = drawn("positive")
    (block, *_), _ = places.blocks([True] * 3, True)
    _, plain, fused = places.cells(block, True)
    assert fused is not None
    assert colour(canvas.pixels[plain[1] : plain[3], plain[0] : plain[2]]).max() == 0
    left, top, right, bottom = fused
    hot = np.argwhere(colour(canvas.pixels[top:bottom, left:right]) > 60)
    assert 200 < len(hot) < 0.2 * (right - left) * (bottom - top), "a spot, not the head"
    row, column = hot.mean(0)
    # The crop is symmetric about the head, so that the spot in front and on the patient's left is above and right.
    assert row < 0.45 * (bottom - top) and column > 0.6 * (right - left)
    assert words.captions[0].index == 29


def test_the_page_has_its_own_scale_of_heat() -> None:
    """The slices with the highest activation of the series need not be among those shown."""
    images = corpus.images_of(corpus.named("ascii"), "positive")
    weak = dataclasses.replace(images, heat={index: heat * np.float32(0.25) for index, heat in images.heat.items()})
    assert (drawn("positive", images=weak)[0].pixels == drawn("positive")[0].pixels).all()


def test_a_negative_page_has_no_colour_among_its_slices() -> None:
    canvas, _ = drawn("negative")
    left, top, right, bottom = places.SLICES
    assert colour(canvas.pixels[top:bottom, left:right]).max() == 0


def test_blood_is_bright_and_lies_on_the_patients_left() -> None:
    canvas, words = drawn("negative")
    assert len(words.captions) == 3
    block = places.blocks([False] * 3, True)[0][0]
    _, plain, _ = places.cells(block, False)
    left, top, right, bottom = plain
    inside = canvas.pixels[top : bottom - 30, left:right, 0]
    rows, columns = np.nonzero((inside > 215) & (inside < 235))  # 70 HU in the brain window; bone is 255
    middle = (right - left) / 2
    assert len(columns) > 100 and columns.mean() > middle + 20 and rows.mean() < (bottom - top) / 2


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        ((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), lambda plane: plane[:, ::-1]),
        ((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), lambda plane: plane[::-1]),
        ((0.0, 1.0, 0.0, 1.0, 0.0, 0.0), lambda plane: plane.T),
    ],
)
def test_however_the_slices_are_stored_the_page_is_the_same(orientation: tuple[float, ...], turned: object) -> None:
    usual, _ = drawn("positive")
    images = corpus.images_of(corpus.named("ascii"), "positive")
    volume = np.stack([turned(plane) for plane in images.volume])  # type: ignore[operator]
    heat = {index: turned(plane) for index, plane in images.heat.items()}  # type: ignore[operator]
    spacing = images.spacing_mm[::-1] if orientation[0] == 0 else images.spacing_mm
    other = SeriesImages(
        volume,
        spacing,
        heat,
        images.heat_class,
        orientation,
        images.positions_mm,
        images.thickness_mm,  # type: ignore[arg-type]
    )
    assert (drawn("positive", images=other)[0].pixels == usual.pixels).all()


@pytest.mark.parametrize(("spacing", "ratio"), [((1.0, 1.0), 1.0), ((2.0, 1.0), 2.0), ((0.5, 1.0), 0.5)])
def test_millimetres_are_square(spacing: tuple[float, float], ratio: float) -> None:
    row, column = np.mgrid[:80, :80]
    disc = np.where(np.hypot(row - 39.5, column - 39.5) < 25, 70, -1000).astype(np.int16)
    images = corpus.images_of(
        corpus.named("ascii"),
        "negative",
        volume=np.repeat(disc[None], 30, 0),
        spacing_mm=spacing,
        heat={},
        heat_class={},
    )
    canvas, _ = drawn("negative", images=images)
    _, plain, _ = places.cells(places.blocks([False] * 3, True)[0][0], False)
    inside = canvas.pixels[plain[1] : plain[3], plain[0] : plain[2], 0]
    shown = (inside > 200) & (inside < 240)
    rows, columns = (np.flatnonzero(shown.sum(axis) > 30) for axis in (1, 0))  # without the letters beside it
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(ratio, rel=0.05)


def test_a_hollow_skull_is_shown_whole() -> None:
    row, column = np.mgrid[:64, :56]
    out = np.hypot((row - 31.5) / 30, (column - 27.5) / 22)
    wall = np.where((out < 1) & (out > 0.97), 1000, -1000).astype(np.int16)
    images = corpus.images_of(corpus.named("ascii"), "failed", volume=np.repeat(wall[None], 30, 0))
    assert Scan.of(images, [15]).crop == (0, 64, 0, 56)


def test_the_head_holder_is_cropped_away() -> None:
    images = corpus.images_of(corpus.named("ascii"), "negative", spacing_mm=(3.6, 4.4))
    volume = np.full((30, 128, 112), -1000, np.int16)
    volume[:, 10:74, 28:84] = images.volume
    volume[:, 100, 30:80] = 300
    first, last, left, right = Scan.of(dataclasses.replace(images, volume=volume), [0, 5]).crop
    assert 5 <= first <= 12 and 70 <= last <= 80 and 28 <= left <= 34 and 78 <= right <= 84


@pytest.mark.parametrize("value", [-1000, 3071])
def test_slices_without_a_head_are_shown_whole(value: int) -> None:
    images = corpus.images_of(corpus.named("ascii"), "positive", volume=np.full((30, 64, 56), value, np.int16))
    fits(drawn("positive", images=images)[0])


def test_the_answers_differ_in_shape_and_lightness_and_not_only_in_colour() -> None:
    greys = {}
    left, top, right, bottom = places.ANSWER
    for kind in ("positive", "negative", "contrast"):
        canvas, _ = drawn(kind)
        panel = np.asarray(canvas.image.convert("L"))[top:bottom, left:right]
        greys[kind] = float(np.median(panel))
    assert greys["positive"] > greys["negative"] + 100
    assert greys["negative"] > greys["contrast"]


def test_the_strip_shows_the_scores_of_the_series() -> None:
    canvas, _ = drawn("positive")
    left, top, right, bottom = places.STRIP
    white = (canvas.pixels[top + 70 : bottom - 30, left + 18 : right] == 255).all(-1).sum(0)
    over = corpus.outcome_of("positive", corpus.named("ascii"))[0]
    reached = sum(row[0] >= corpus.THRESHOLDS["any"] for row in over.scores)
    bars = np.flatnonzero(np.diff((white > 20).astype(int)) == 1)
    assert len(bars) == reached == 5 and CLASSES[0] == "any"
