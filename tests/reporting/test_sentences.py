"""The words: the verdict first, the notice last, ASCII throughout."""

from __future__ import annotations

import pytest

from ichnode.core.findings import Outcome, Verdict, Warned
from ichnode.reporting.sentences import NOTICE, ascii_only, describe
from tests.reporting import corpus


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_the_verdict_comes_first_the_notice_last_and_all_is_ascii(kind: str) -> None:
    outcome, _ = corpus.outcome_of(kind, corpus.named("ascii"))
    said = describe(outcome, corpus.MODEL)
    first = {
        Verdict.POSITIVE: "Intracranial hemorrhage suspected",
        Verdict.NEGATIVE: "No intracranial hemorrhage detected.",
        Verdict.NOT_ANALYSED: "Not analysed (",
    }[outcome.verdict]
    assert said[0].startswith(first)
    assert said[-1] == NOTICE
    assert "Research use only" in NOTICE and "not verified by a radiologist" in NOTICE
    assert all(line.isascii() and line.isprintable() for line in said)


def test_a_positive_series_is_told_with_scores_thresholds_key_images_and_model() -> None:
    outcome, _ = corpus.outcome_of("positive", corpus.named("ascii"))
    said = describe(outcome, corpus.MODEL)
    assert said[0] == "Intracranial hemorrhage suspected (subdural, epidural)."
    assert "any: present, score 0.988 (threshold 0.420), key images 13, 15, 11 of 30." in said
    assert "subdural: present, score 0.812 (threshold 0.600), key image 13 of 30." in said
    assert "intraparenchymal: absent, score 0.020 (threshold 0.500)." in said
    assert "Model: demonstration 1.0, weights sha256:5c5c5c5c5c5c." in said
    assert "Warning (GANTRY_TILT): The gantry was tilted by 18.5 deg." in said


def test_a_partial_series_says_what_is_missing() -> None:
    outcome, _ = corpus.outcome_of("partial_negative", corpus.named("ascii"))
    assert (
        "Preliminary: the series was incomplete. Missing: 6 of 30 slices, between 42.5 and 72.5 mm - the PACS says 30 "
        "instances" in describe(outcome, corpus.MODEL)
    )


def test_a_series_that_was_not_analysed_says_why_and_claims_nothing() -> None:
    outcome, _ = corpus.outcome_of("localizer", corpus.named("ascii"))
    assert describe(outcome, None) == [
        "Not analysed (LOCALIZER): The series is a localizer (scout, topogram, surview).",
        NOTICE,
    ]


def test_warnings_are_told_even_where_nothing_was_analysed() -> None:
    reason, warned = Warned("CONTRAST", "With contrast."), Warned("CONFLICTING_INSTANCE", "Same UID, other content.")
    said = describe(Outcome(Verdict.NOT_ANALYSED, reason=reason, warnings=(warned,)), None)
    assert said[1] == "Warning (CONFLICTING_INSTANCE): Same UID, other content."


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("18.5° – 5 µm × 2 ≥ 3", "18.5 deg - 5 um x 2 >= 3"),
        ("Schädel, naïve", "Schadel, naive"),
        ("頭部", "??"),
        ("a\\b", "a/b"),
        ("one\r\n\ttwo\x1b[31m", "one two [31m"),
    ],
)
def test_other_characters_are_replaced(text: str, plain: str) -> None:
    assert ascii_only(text) == plain
