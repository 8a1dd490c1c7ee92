"""Rules as data: every condition alone, hours over midnight, and what a change is."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.alerts import CALLS_TOLD, Call, Called, Ladder, Rule, Say, Site, Told, is_open, what_to_say
from ichnode.core.findings import CLASSES

SUNDAY_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SITE = Site(("CT_ER",), "CT1", "St. Elsewhere")
NIGHT = (time(18), time(7))


def positive(**scores):
    scores = {"any": 0.9, **scores}
    return Call(Called.POSITIVE, scores, frozenset(name for name, score in scores.items() if score >= 0.5))


NEGATIVE = Call(Called.NEGATIVE, {"any": 0.1})


def alerted(rule, call=None, site=SITE, at=SUNDAY_NOON):
    return what_to_say(rule, call or positive(), site, at, None) is Say.ALERT


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Rule(), True),
        (Rule(calls=("negative",)), False),
        (Rule(findings=("any",)), True),
        (Rule(findings=("subdural", "epidural")), False),
        (Rule(min_score=0.9), True),
        (Rule(min_score=0.91), False),
        (Rule(findings=("any",), min_score=0.95), False),
        (Rule(urgency=0), True),
        (Rule(weekdays=("sun",)), True),
        (Rule(weekdays=("mon", "sat")), False),
        (Rule(hours=(time(11), time(13))), True),
        (Rule(hours=NIGHT), False),
        (Rule(calling_aets=("ct_er ", "CT_ICU")), True),
        (Rule(calling_aets=("CT_ICU",)), False),
        (Rule(stations=("CT1",), institutions=("ST. ELSEWHERE",)), True),
        (Rule(stations=("CT1",), institutions=("Mercy",)), False),
    ],
)
def test_one_condition_alone(rule, told):
    assert alerted(rule) is told


def test_an_answer_that_nobody_waits_for_is_told_only_to_whoever_was_told_another_one():
    nobody_waits = Call(Called.NOT_ANALYSED, expected=False)
    assert not alerted(Rule(CALLS_TOLD), nobody_waits)
    assert alerted(Rule(CALLS_TOLD), Call(Called.NOT_ANALYSED))
    assert say(Rule(CALLS_TOLD), nobody_waits, positive()) is Say.CORRECTION


def test_urgency_is_the_worklists_order():
    calls = {name: Call(Called(name)) for name in CALLS_TOLD if name != "positive"} | {"positive": positive()}
    for urgency, expected in ((0, {"positive"}), (1, {"positive", "failed"}), (4, set(CALLS_TOLD))):
        assert {name for name, call in calls.items() if alerted(Rule(CALLS_TOLD, urgency=urgency), call)} == expected


@pytest.mark.parametrize(
    ("at", "hours", "weekdays", "is_told"),
    [
        ("2026-02-28T18:00", NIGHT, (), True),
        ("2026-02-28T17:59", NIGHT, (), False),
        ("2026-03-01T06:59", NIGHT, (), True),
        ("2026-03-01T07:00", NIGHT, (), False),
        ("2026-03-01T02:00", NIGHT, ("sat",), True),  # the night that began on Saturday
        ("2026-03-01T02:00", NIGHT, ("sun",), False),
        ("2026-03-02T02:00", NIGHT, ("sun",), True),
        ("2026-03-01T23:00", NIGHT, ("sun",), True),
        ("2026-03-01T00:00", (time(0), time(0, 1)), ("sun",), True),
    ],
)
def test_hours_and_the_day_they_began(at, hours, weekdays, is_told):
    assert is_open(Rule(hours=hours, weekdays=weekdays), datetime.fromisoformat(at)) is is_told


TIMES = st.times().map(lambda t: t.replace(tzinfo=None))


@given(st.datetimes(), TIMES, TIMES)
def test_every_moment_is_in_one_of_two_shifts(at, begin, end):
    if begin != end:
        assert is_open(Rule(hours=(begin, end)), at) is not is_open(Rule(hours=(end, begin)), at)


@given(st.datetimes(datetime(2000, 1, 1)), TIMES, TIMES)
def test_every_moment_of_a_shift_is_of_one_day(at, begin, end):
    if begin != end and is_open(Rule(hours=(begin, end)), at):
        days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        assert sum(is_open(Rule(hours=(begin, end), weekdays=(day,)), at) for day in days) == 1


def say(rule, call, told, wanted=True):
    """On a site and at a time that the rule would not have alerted for: what was told has to be kept true."""
    return what_to_say(rule, call, Site(), SUNDAY_NOON, Told(told, wanted))


def test_the_same_call_is_no_news():
    assert say(Rule(), positive(any=0.6), positive()) is None
    assert say(Rule(min_score=0.8), positive(any=0.6), positive()) is None
    assert say(Rule(CALLS_TOLD), NEGATIVE, NEGATIVE) is None


@pytest.mark.parametrize("called", [c for c in Called if c is not Called.POSITIVE])
def test_whoever_was_told_hears_of_every_other_call(called):
    for rule in (Rule(), Rule(CALLS_TOLD), Rule(calls=("failed",), hours=NIGHT, stations=("elsewhere",))):
        assert say(rule, Call(called), positive()) is Say.CORRECTION


def test_a_finding_that_goes_is_a_correction_for_whoever_asked_for_it():
    rule = Rule(findings=("epidural",))
    assert say(rule, positive(subdural=0.9), positive(epidural=0.9)) is Say.CORRECTION
    assert say(Rule(), positive(subdural=0.9), positive(epidural=0.9)) is None
    assert say(rule, positive(epidural=0.9), positive(subdural=0.9), wanted=False) is Say.ALERT


def test_the_end_of_a_call_is_told_once():
    assert say(Rule(), Call(Called.FAILED), NEGATIVE, wanted=False) is None
    assert say(Rule(), positive(), NEGATIVE, wanted=False) is Say.ALERT


CALLS = st.builds(
    lambda called, present: Call(called, dict.fromkeys(present, 0.9), frozenset(present))
    if called is Called.POSITIVE
    else Call(called),
    st.sampled_from(Called), st.sets(st.sampled_from(CLASSES), min_size=1),
)  # fmt: skip
RULES = st.builds(
    Rule, st.lists(st.sampled_from(CALLS_TOLD), min_size=1).map(tuple),
    st.lists(st.sampled_from(CLASSES), max_size=2).map(tuple),
)  # fmt: skip


@given(RULES, st.lists(CALLS, max_size=12))
def test_a_channel_never_believes_what_is_no_longer_so(rule, calls):
    told = None
    for call in calls:
        if what_to_say(rule, call, SITE, SUNDAY_NOON, told) is not None:
            told = Told(call, call.called in rule.calls)
        if told is not None and Called.POSITIVE in (told.call.called, call.called) and "positive" in rule.calls:
            assert (
                told.call.called is call.called
                or (not told.wanted and call.called is not Called.POSITIVE)
                or (call.called is Called.POSITIVE and bool(rule.findings) and not call.present & set(rule.findings))
            )


def test_steps_of_a_ladder():
    ladder = Ladder(((10.0, "oncall"), (30.0, "chief")))
    due = [ladder.due_at(SUNDAY_NOON, done) for done in range(3)]
    assert due == [SUNDAY_NOON + timedelta(minutes=10), SUNDAY_NOON + timedelta(minutes=30), None]
    assert Ladder().due_at(SUNDAY_NOON, 0) is None
