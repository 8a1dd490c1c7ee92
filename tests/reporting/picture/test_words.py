"""What the page says: the answer first, every class, never more than is known."""

from __future__ import annotations

import dataclasses

import pytest

from ichnode.core.findings import CLASSES, Outcome, Verdict, findings_from, verdict_of
from ichnode.reporting.header import result_header
from ichnode.reporting.picture.words import BANNER, PageWords, page_words, shown_slices
from tests.reporting import corpus


def words_of(kind: str, series: corpus.Series | None = None, replaces: bool = False, **changes: object) -> PageWords:
    series = series or corpus.named("ascii")
    answer = corpus.answer(series, kind, **({"images": corpus.images_of(series, kind)} | changes))
    identity = corpus.identity(2 if replaces else 1)
    return page_words(answer, identity, result_header(answer, identity, "OT", "made"), replaces)


def outcome(peaks: dict[int, dict[str, float]], slices: int = 30) -> Outcome:
    rows = [[0.01] * 6 for _ in range(slices)]
    for index, scores in peaks.items():
        for name, score in scores.items():
            rows[index][CLASSES.index(name)] = score
    findings = findings_from(rows, dict.fromkeys(CLASSES, 0.5))
    return Outcome(verdict_of(findings), tuple(map(tuple, rows)), findings)


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_the_answer_comes_first_and_the_notice_always(kind: str) -> None:
    words = words_of(kind)
    assert words.all()[0] == BANNER and "RESEARCH USE ONLY" in BANNER and "not verified by a radiologist" in BANNER
    verdict = corpus.outcome_of(kind, corpus.named("ascii"))[0].verdict
    begins = {
        Verdict.POSITIVE: "Intracranial hemorrhage suspected",
        Verdict.NEGATIVE: "No intracranial hemorrhage detected",
        Verdict.NOT_ANALYSED: "Not analysed (",
    }[verdict]
    assert words.answer.removeprefix("PRELIMINARY: ").startswith(begins)
    assert words.answer.startswith("PRELIMINARY: ") == kind.startswith("partial")
    said = " ".join(words.all())
    assert said.isascii() and "normal" not in said.lower() and "healthy" not in said.lower()


def test_a_positive_page_in_full() -> None:
    words = words_of("positive")
    assert words.answer == "Intracranial hemorrhage suspected (subdural, epidural)."
    assert words.patient == "Patient ID: P-4711 | Accession: A0001 | Study: 2024-03-31"
    assert [(c.title, c.score, c.window, c.heat) for c in words.captions] == [
        ("Image 30 of 30: epidural", "score 1.000, threshold 0.350", "brain W 80 L 40", "heat map: epidural"),
        ("Image 13 of 30: subdural", "score 0.812, threshold 0.600", "subdural W 215 L 75", "heat map: any"),
        ("Image 15 of 30: any hemorrhage", "score 0.800, threshold 0.420", "brain W 80 L 40", "heat map: any"),
    ]
    assert words.legend is not None and "not an outline of the bleed" in words.legend
    assert words.strip is not None and "threshold 0.420" in words.strip
    assert [(row.name, row.answer) for row in words.rows] == [
        ("any hemorrhage", "PRESENT"), ("intraparenchymal", "absent"), ("intraventricular", "absent"),
        ("subarachnoid", "absent"), ("subdural", "PRESENT"), ("epidural", "PRESENT"),
    ]  # fmt: skip
    assert words.warnings == ("Warning: The gantry was tilted by 18.5 deg.",)
    (maker, counted) = words.maker
    for part in ("demonstration 1.0", f"sha256:{'5c' * 6}.", "2024-03-31 22:30 (UTC+0000)", "ICHAI", "Revision 1,"):
        assert part in maker
    assert "lowest slice upwards" in counted and "not calibrated probabilities" in counted


def test_a_negative_page_shows_the_highest_slices_and_claims_no_finding() -> None:
    words = words_of("negative")
    assert [caption.title for caption in words.captions] == ["Image 1 of 30", "Image 3 of 30", "Image 5 of 30"]
    assert words.legend is not None and "none reaches a threshold" in words.legend
    assert {caption.heat for caption in words.captions} == {None}
    assert {row.answer for row in words.rows} == {"absent"}


def test_what_is_missing_is_the_first_warning() -> None:
    words = words_of("partial_negative")
    assert words.answer == "PRELIMINARY: No intracranial hemorrhage detected."
    assert words.warnings[0].startswith("PRELIMINARY: the series was incomplete. Missing: 6 of 30 slices")
    assert len(words.warnings) == 3 and all(warning.endswith(".") for warning in words.warnings)


@pytest.mark.parametrize("kind", ["contrast", "failed", "partial_not_analysed"])
def test_what_was_not_read_has_no_scores_and_says_that_nothing_is_excluded(kind: str) -> None:
    words = words_of(kind)
    assert (words.rows, words.strip, words.legend) == ((), None, None)
    assert words.warnings[-1].endswith("hemorrhage is neither found nor excluded.")
    (caption,) = words.captions
    assert caption.title == "Image 16 of 30, to recognise the scan by"
    assert words_of(kind, images=None).captions == ()


def test_a_later_picture_says_that_it_replaces_one() -> None:
    assert "Revision 2, replaces the earlier picture" in words_of("revision", replaces=True).maker[0]
    assert "replaces" not in words_of("positive").maker[0]


def test_a_number_that_cannot_be_drawn_is_marked_and_none_is_invented() -> None:
    series = corpus.named("japanese")
    series.header.PatientID, series.header.AccessionNumber = "山-47°é", ""
    assert words_of("positive", series).patient == "Patient ID: ?-47?? | Accession: none | Study: 2024-03-31"
    assert words_of("positive", corpus.minimal()).patient == "Patient ID: none | Accession: none | Study: none"


@pytest.mark.parametrize("header", [*corpus.SYNTHETIC, "wrong"])
def test_the_words_do_not_depend_on_the_character_set(header: str) -> None:
    series = corpus.in_wrong_character_set() if header == "wrong" else corpus.SYNTHETIC[header]()
    words = words_of("positive", series)
    assert words.patient.startswith("Patient ID: ") and words.answer == words_of("positive").answer


def test_the_best_slice_of_each_class_is_shown_then_others_that_are_no_neighbours() -> None:
    many = outcome({5: {"any": 0.9, "subdural": 0.8}, 6: {"any": 0.95}, 9: {"any": 0.7}, 20: {"epidural": 0.99}})
    assert shown_slices(many) == ((20, "epidural"), (5, "subdural"), (9, "any"))
    assert shown_slices(outcome({5: {"any": 0.9}, 6: {"any": 0.8}})) == ((5, "any"), (6, "any"))
    one = outcome({5: {"any": 0.9, "subdural": 0.8, "epidural": 0.7}})
    assert shown_slices(one) == ((5, "subdural"),)
    five = outcome({3 * i: {name: 0.6 + i / 50} for i, name in enumerate(CLASSES[1:])})
    assert shown_slices(five) == ((12, "epidural"), (9, "subdural"), (6, "subarachnoid"))


def test_slices_with_a_map_go_first_where_nothing_else_tells_them_apart() -> None:
    many = outcome({5: {"any": 0.9}, 12: {"any": 0.8}, 19: {"any": 0.7}, 26: {"subdural": 0.6}})
    assert shown_slices(many, heated=(26, 19)) == ((26, "subdural"), (5, "any"), (19, "any"))


def test_the_highest_slices_of_a_negative_series_are_no_neighbours() -> None:
    below = outcome({5: {"any": 0.4}, 6: {"any": 0.39}, 9: {"any": 0.3}, 20: {"any": 0.2}})
    assert shown_slices(below) == ((5, "any"), (9, "any"), (20, "any"))
    assert shown_slices(outcome({0: {"any": 0.3}}, slices=2)) == ((0, "any"),)


def test_words_are_data() -> None:
    assert dataclasses.is_dataclass(PageWords)
    texts = words_of("positive").all()
    assert all(isinstance(text, str) and text for text in texts) and len(texts) > 40
