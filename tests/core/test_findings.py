"""From slice scores to findings, key slices and a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.findings import CLASSES, Finding, Outcome, Verdict, Warned, findings_from, verdict_of

HALF = dict.fromkeys(CLASSES, 0.5)
SCORES = st.lists(st.tuples(*[st.floats(0, 1)] * 6), min_size=1, max_size=60)


def column(values, name="any"):
    """Scores of one class; the others are zero."""
    return [[v if c == name else 0.0 for c in CLASSES] for v in values]


def test_scan_score_is_the_highest_of_its_slices():
    found = findings_from(column([0.1, 0.7, 0.3], "subdural"), HALF)
    assert [f.name for f in found] == list(CLASSES)
    assert {f.name: f.score for f in found} == {**dict.fromkeys(CLASSES, 0.0), "subdural": 0.7}
    assert [f.name for f in found if f.present] == ["subdural"]


def test_a_score_at_its_threshold_is_present():
    assert findings_from(column([0.5]), HALF)[0].present
    assert not findings_from(column([0.4999]), HALF)[0].present


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([0, 0, 0, 0], ()),
        ([0, 0.9, 0, 0], (1,)),
        ([0, 0.6, 0.9, 0.8, 0, 0.7], (2, 5, 3)),  # 5 before 3, which is a neighbour of 2
        ([0.6, 0.9, 0.8], (1, 2, 0)),
        ([0.9, 0.8, 0.7, 0.6, 0.55], (0, 2, 4)),
        ([0.7, 0.7, 0.7, 0.7], (0, 2, 1)),
    ],
)
def test_key_slices_are_the_highest_and_apart_where_possible(values, chosen):
    assert findings_from(column(values), HALF)[0].key_slices == chosen


@given(SCORES, st.tuples(*[st.floats(0.01, 1)] * 6))
def test_key_slices_are_over_the_threshold_and_the_best_is_among_them(scores, thresholds):
    for index, finding in enumerate(findings_from(scores, dict(zip(CLASSES, thresholds, strict=True)))):
        values = [row[index] for row in scores]
        assert finding.score == max(values)
        assert len(set(finding.key_slices)) == len(finding.key_slices) <= 3
        assert all(values[k] >= finding.threshold for k in finding.key_slices)
        assert bool(finding.key_slices) == finding.present
        if finding.present:
            assert values[finding.key_slices[0]] == finding.score
            assert len(finding.key_slices) == min(3, sum(v >= finding.threshold for v in values))


@given(SCORES)
def test_verdict_is_positive_exactly_when_a_class_is_present(scores):
    found = findings_from(scores, HALF)
    assert (verdict_of(found) is Verdict.POSITIVE) == any(value >= 0.5 for row in scores for value in row)


def test_a_subtype_alone_makes_the_scan_positive():
    assert verdict_of([Finding("any", 0.2, 0.5), Finding("epidural", 0.9, 0.5)]) is Verdict.POSITIVE


def test_outcome_says_when_it_is_preliminary_and_when_it_has_no_score():
    assert Outcome(Verdict.NEGATIVE, missing="2 slices").preliminary
    assert not Outcome(Verdict.NEGATIVE).preliminary
    assert Outcome(Verdict.NOT_ANALYSED, reason=Warned("LOCALIZER", "A localizer.")).any_score is None
    assert Outcome(Verdict.POSITIVE, findings=findings_from(column([0.8]), HALF)).any_score == 0.8
